"""What the recorder and the witness read pictures with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from livekit import rtc

from tests.livekit_double.worker.joined.every_picture import EveryPicture

pytestmark = [pytest.mark.livekit_server, pytest.mark.usefixtures("asked_for")]

WIDTH, HEIGHT = 32, 18
PICTURES = range(100, 200)


async def test_a_reader_who_comes_late_gets_every_picture() -> None:
    source = rtc.VideoSource(WIDTH, HEIGHT)
    stream = EveryPicture(rtc.LocalVideoTrack.create_video_track("screen", source))
    for number in PICTURES:
        picture = np.full((HEIGHT * 3 // 2, WIDTH), number, np.uint8)
        frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, picture.tobytes())
        source.capture_frame(frame, timestamp_us=number * 10_000)
    async with asyncio.timeout(60):
        # A source shows black until it is given a picture.
        assert [number async for number in numbers_until(PICTURES[-1], stream) if number] == [*PICTURES]


async def numbers_until(last: int, stream: rtc.VideoStream) -> AsyncIterator[int]:
    async for event in stream:
        yield event.frame.data[0]
        if event.frame.data[0] == last:
            return

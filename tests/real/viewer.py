"""A participant who only watches and listens: the witness of what the server gave to anybody.

    LIVEKIT_TOKEN=... python -m tests.real.viewer URL

Writes one JSON object a line: `{"sid", "number", "captured_at_ms"}` for each picture that arrives, and
`{"sid", "position"}` for each second of sound, with what its tone tells. It leaves when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import numpy as np
from livekit import rtc

from tests.livekit_double.marks import read_frame_mark, read_tone_position
from tests.livekit_double.worker.joined.every_picture import EveryPicture

_AUDIO_HZ = 48_000
_FULL_SCALE = 32768


async def _watch(track: rtc.Track) -> None:
    async for event in EveryPicture(track):
        frame = event.frame
        luma = np.frombuffer(frame.data, np.uint8)[: frame.width * frame.height]
        mark = read_frame_mark(luma.reshape(frame.height, frame.width))
        if mark is not None:
            _tell(sid=track.sid, number=mark.frame_number, captured_at_ms=mark.captured_at_ms)


async def _listen(track: rtc.Track) -> None:
    heard: list[np.ndarray[Any, np.dtype[np.float32]]] = []
    async for event in rtc.AudioStream(track, sample_rate=_AUDIO_HZ, num_channels=1):
        heard.append(np.frombuffer(event.frame.data, np.int16).astype(np.float32) / _FULL_SCALE)
        if sum(map(len, heard)) >= _AUDIO_HZ:
            _tell(sid=track.sid, position=read_tone_position(np.concatenate(heard), _AUDIO_HZ))
            heard.clear()


def _tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


async def _run(url: str, token: str) -> None:
    room = rtc.Room()
    tasks = set()

    def subscribed(track: rtc.Track, *_: object) -> None:
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        tasks.add(asyncio.create_task(_watch(track) if video else _listen(track)))

    room.on("track_subscribed", subscribed)
    await room.connect(url, token)
    await asyncio.to_thread(sys.stdin.read)
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], os.environ["LIVEKIT_TOKEN"]))

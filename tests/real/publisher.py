"""A participant who publishes: a frame counter and the time in the picture, a tone in the sound.

    LIVEKIT_TOKEN=... python -m tests.real.publisher URL FIRST_NUMBER

Reads commands from standard input, one JSON object a line, and answers each with one: `{"publish": SOURCE}`
gives `{"sid": ...}`; `{"unpublish": SOURCE}`, `{"mute": SOURCE}` and `{"unmute": SOURCE}` give `{}`. It
leaves the room when the input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc

from tests.livekit_double.marks import FrameMark, tone
from tests.livekit_double.worker.picture import Camera

WIDTH, HEIGHT, FRAMES_PER_SECOND = 320, 180, 15
MICROPHONE_AHEAD_SECONDS = 300
"""Its tone is that of a later moment, so that it is not taken for the sound of the screen."""

_AUDIO_HZ = 48_000
_CHUNK_SAMPLES = 480  # ten milliseconds, as libwebrtc wants it
_FULL_SCALE = 32767
# Sound is handed over early, and leaves evenly whatever else this machine does. The queue takes no more.
_QUEUED_SECONDS = 0.15
_QUEUE_MS = 200
# Enough for the marks to survive; less than what makes libwebrtc reduce the size.
_VIDEO_BPS = 600_000
_MILLISECONDS = 1000
_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class _Published:
    track: rtc.LocalVideoTrack | rtc.LocalAudioTrack
    sid: str
    feeding: asyncio.Task[None]


class Publisher:
    """One participant. Numbers and times go on through a re-publication."""

    def __init__(self, room: rtc.Room, first_number: int) -> None:
        self._room = room
        self._first_number = first_number
        self._wall = time.time()
        self._monotonic = time.monotonic()
        self._published: dict[str, _Published] = {}

    async def obey(self, command: dict[str, str]) -> dict[str, Any]:
        """Do what a line says."""
        ((verb, source),) = command.items()
        match verb:
            case "publish":
                return {"sid": await self._publish(source)}
            case "unpublish":
                await self._unpublish(source)
            case "mute":
                self._published[source].track.mute()
            case "unmute":
                self._published[source].track.unmute()
        return {}

    async def _publish(self, source: str) -> str:
        kind = rtc.TrackSource.Value(f"SOURCE_{source.replace('SCREEN_SHARE', 'SCREENSHARE')}")
        options = rtc.TrackPublishOptions(source=kind, simulcast=False, dtx=False, red=False)
        track: rtc.LocalVideoTrack | rtc.LocalAudioTrack
        if source in {"CAMERA", "SCREEN_SHARE"}:
            options.video_codec = rtc.VideoCodec.VP8
            options.video_encoding.max_bitrate = _VIDEO_BPS
            options.video_encoding.max_framerate = FRAMES_PER_SECOND
            options.frame_metadata_features.append(rtc.FrameMetadataFeature.FMF_USER_TIMESTAMP)
            pictures = rtc.VideoSource(WIDTH, HEIGHT)
            track = rtc.LocalVideoTrack.create_video_track(source, pictures)
            feeding = self._show(pictures)
        else:
            sounds = rtc.AudioSource(_AUDIO_HZ, 1, queue_size_ms=_QUEUE_MS)
            track = rtc.LocalAudioTrack.create_audio_track(source, sounds)
            feeding = self._play(sounds, MICROPHONE_AHEAD_SECONDS if source == "MICROPHONE" else 0)
        publication = await self._room.local_participant.publish_track(track, options)
        self._published[source] = _Published(track, publication.sid, asyncio.create_task(feeding))
        return publication.sid

    async def _unpublish(self, source: str) -> None:
        published = self._published.pop(source)
        published.feeding.cancel()
        await self._room.local_participant.unpublish_track(published.sid)

    async def _show(self, pictures: rtc.VideoSource) -> None:
        camera = Camera(WIDTH, HEIGHT)
        while True:
            step = int((time.monotonic() - self._monotonic) * FRAMES_PER_SECOND) + 1
            after_seconds = step / FRAMES_PER_SECOND
            await asyncio.sleep(self._monotonic + after_seconds - time.monotonic())
            mark = FrameMark(self._first_number + step, round((self._wall + after_seconds) * _MILLISECONDS))
            frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, camera.frame(mark).tobytes())
            captured_us = round((self._monotonic + after_seconds) * _MICROSECONDS)
            taken = rtc.FrameMetadata(user_timestamp=round((self._wall + after_seconds) * _MICROSECONDS))
            pictures.capture_frame(frame, timestamp_us=captured_us, metadata=taken)

    async def _play(self, sounds: rtc.AudioSource, ahead_seconds: int) -> None:
        after_seconds = time.monotonic() - self._monotonic
        while True:
            await asyncio.sleep(self._monotonic + after_seconds - _QUEUED_SECONDS - time.monotonic())
            samples = tone(self._wall + after_seconds + ahead_seconds, _CHUNK_SAMPLES, _AUDIO_HZ)
            data = (samples * _FULL_SCALE).astype(np.int16).tobytes()
            await sounds.capture_frame(rtc.AudioFrame(data, _AUDIO_HZ, 1, _CHUNK_SAMPLES))
            after_seconds += _CHUNK_SAMPLES / _AUDIO_HZ


async def _run(url: str, token: str, first_number: int) -> None:
    room = rtc.Room()
    await room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
    publisher = Publisher(room, first_number)
    print("{}", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await publisher.obey(json.loads(line))), flush=True)
    await room.disconnect()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], os.environ["LIVEKIT_TOKEN"], int(sys.argv[2])))

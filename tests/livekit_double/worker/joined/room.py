"""The recorder in the room: hidden, subscribed to exactly the tracks of its egress."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc
from livekit.api import AccessToken, VideoGrants
from numpy.typing import NDArray

from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.joined.every_picture import EveryPicture
from tests.livekit_double.worker.joined.pictures import Pictures
from tests.livekit_double.worker.joined.sounds import Sounds
from tests.livekit_double.worker.source import TracksChanged

_NANOSECONDS = 1_000_000_000
_FULL_SCALE = 32768
_FIRST_MEDIA_SECONDS = 10.0
# Sound is dated when this much of it has arrived: by then the receiver's buffer has its size.
_DATED_AFTER_SECONDS = 1.0
# What lies between microphone and receiver beside its buffer: an Opus frame, the codec's look-ahead, and the
# frame that is handed out.
_SOUND_LATENCY_SECONDS = 0.02 + 0.0065 + 0.01
_EVENTS = (
    "track_published",
    "track_unpublished",
    "track_subscribed",
    "track_muted",
    "track_unmuted",
    "participant_connected",
    "participant_disconnected",
    "disconnected",
)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Who joins which room.

    Attributes:
        url: of the server with the media.
        api_key: signs the token, together with `api_secret`.
        api_secret: see `api_key`.
        room: its name.
        identity: that of the egress.
        video_track: its id, or empty.
        audio_track: its id, or empty.
    """

    url: str
    api_key: str
    api_secret: str
    room: str
    identity: str
    video_track: str
    audio_track: str

    def token(self) -> str:
        """What lets it in: it sees everything, nobody sees it, and it sends nothing."""
        grants = VideoGrants(
            room_join=True,
            room=self.room,
            can_subscribe=True,
            can_publish=False,
            can_publish_data=False,
            hidden=True,
            recorder=True,
        )
        token = AccessToken(self.api_key, self.api_secret).with_identity(self.identity)
        return token.with_kind("egress").with_grants(grants).to_jwt()


class JoinedSource:
    """Media of one egress, from a real room."""

    # A machine under load hands frames out late; segments are published much later than this anyway.
    delay_seconds = 1.0
    held_seconds = 0.85
    patience_seconds = 2.0
    knows_tracks = True

    def __init__(self, plan: EncodingPlan, recorder: Recorder) -> None:
        """Prepares; `open` joins.

        Args:
            plan: sizes and rates of the recording.
            recorder: who joins which room.
        """
        self._recorder = recorder
        self._audio_hz = plan.audio_hz
        self._pictures = Pictures(plan)
        self._sounds = Sounds(plan.audio_hz)
        self._begun = asyncio.Event()
        self._flowing: frozenset[str] = frozenset()
        self._step_ns = _NANOSECONDS // plan.frames_per_second
        self._room = rtc.Room()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._tracks_changed: TracksChanged = lambda _tracks: None
        # Receivers stamp with the monotonic clock.
        self._wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    async def open(self, tracks_changed: TracksChanged) -> None:
        """Joins the room and subscribes as soon as the tracks are there."""
        self._tracks_changed = tracks_changed
        loop = asyncio.get_running_loop()
        for event in _EVENTS:
            # Not at once: the room is brought up to date around the event.
            self._room.on(event, lambda *_: loop.call_soon(self._look))
        url = self._recorder.url.replace("http", "ws", 1)
        try:
            await self._room.connect(url, self._recorder.token(), rtc.RoomOptions(auto_subscribe=False))
        except rtc.ConnectError as error:
            raise ConnectionError(f"room {self._recorder.room} cannot be joined: {error}") from error
        self._look()

    async def first_media_at_ns(self) -> int:
        """Waits until every track that flows has delivered; a muted one is not waited for."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._begun.wait(), _FIRST_MEDIA_SECONDS)
        first_at_ns = self._pictures.first_at_ns or self._sounds.first_at_ns or time.time_ns()
        # A picture that comes later, such as the first one of a muted camera, does not begin the run anew.
        self._pictures.begin(first_at_ns)
        return first_at_ns

    def has_arrived(self, number: int, captured_at_ns: int) -> bool:
        """Whether the tracks that flow have come that far."""
        flowing = self._flowing
        if self._recorder.video_track in flowing and not self._pictures.reaches(number):
            return False
        return self._recorder.audio_track not in flowing or self._sounds.reaches(
            captured_at_ns + self._step_ns
        )

    def picture(self, number: int, captured_at_ns: int) -> NDArray[np.uint8] | None:
        """The newest one that has arrived for that step."""
        return self._pictures.take(number)

    def pictures_waiting(self) -> bool:
        """Whether some have arrived that were not taken yet."""
        return self._pictures.waiting

    def sound(self, captured_at_ns: int, samples: int) -> NDArray[np.float32]:
        """What was heard then."""
        return self._sounds.take(captured_at_ns, samples)

    async def close(self) -> None:
        """Leaves the room."""
        await self._room.disconnect()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _see_whether_it_begins(self) -> None:
        published = self._published()
        wanted = {self._recorder.video_track: self._pictures, self._recorder.audio_track: self._sounds}
        flowing = [media for sid, media in wanted.items() if sid and published.get(sid)]
        if flowing and all(media.first_at_ns is not None for media in flowing):
            self._begun.set()

    def _published(self) -> dict[str, bool]:
        return {publication.sid: not publication.muted for publication in self._publications()}

    def _publications(self) -> list[rtc.RemoteTrackPublication]:
        people = self._room.remote_participants.values()
        return [publication for each in people for publication in each.track_publications.values()]

    def _look(self) -> None:
        for publication in self._publications():
            if publication.sid not in (self._recorder.video_track, self._recorder.audio_track):
                continue
            if not publication.subscribed:
                publication.set_subscribed(True)
            if publication.track is not None and publication.sid not in self._tasks:
                receiving = self._receive(publication.track)
                self._tasks[publication.sid] = asyncio.create_task(receiving)
        published = self._published()
        self._flowing = frozenset(sid for sid, flows in published.items() if flows)
        self._tracks_changed(published)

    async def _receive(self, track: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_VIDEO:
            await self._receive_pictures(track)
        else:
            await self._receive_sound(track)

    async def _receive_pictures(self, track: rtc.Track) -> None:
        async for event in EveryPicture(track):
            frame = event.frame
            picture = np.frombuffer(frame.data, np.uint8).reshape(frame.height * 3 // 2, frame.width).copy()
            self._pictures.put(picture, self._captured_at_ns(event))
            self._see_whether_it_begins()

    def _captured_at_ns(self, event: rtc.VideoFrameEvent) -> int:
        # RTP tells a recorder when a picture was taken. This SDK keeps that back and tells when it is to be
        # shown: on a busy machine that moves to and fro by more than a frame, as the receiver's buffer grows
        # and shrinks. LiveKit's frame metadata tell the former, where the publisher sends them.
        if event.metadata is not None and event.metadata.HasField("user_timestamp"):
            return event.metadata.user_timestamp * 1000
        return event.timestamp_us * 1000 + self._wall_minus_monotonic_ns

    async def _receive_sound(self, track: rtc.Track) -> None:
        # Of the chunk that was handed over soonest: on a busy machine others come in heaps, a second late.
        began_ns = time.time_ns()
        async for event in rtc.AudioStream(track, sample_rate=self._audio_hz, num_channels=1):
            samples = np.frombuffer(event.frame.data, np.int16).astype(np.float32) / _FULL_SCALE
            self._sounds.put(samples)
            began_ns = min(began_ns, time.time_ns() - round(self._sounds.seconds * _NANOSECONDS))
            if self._sounds.first_at_ns is None and self._sounds.seconds >= _DATED_AFTER_SECONDS:
                late_seconds = await _buffered_seconds(track) + _SOUND_LATENCY_SECONDS
                self._sounds.first_at_ns = began_ns - round(late_seconds * _NANOSECONDS)
            self._see_whether_it_begins()


async def _buffered_seconds(track: rtc.Track) -> float:
    """How long the receiver has held each sample on average, so far."""
    for stats in await track.get_stats():
        if stats.HasField("inbound_rtp"):
            inbound = stats.inbound_rtp.inbound
            return float(inbound.jitter_buffer_delay / max(1, inbound.jitter_buffer_emitted_count))
    return 0.0

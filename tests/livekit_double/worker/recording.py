"""The media thread of one egress: captures by the wall clock, encodes, cuts and publishes."""

import threading
import time
from collections.abc import Callable
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoders import AudioEncoder, VideoEncoder
from tests.livekit_double.worker.encoding_plan import EncodingPlan
from tests.livekit_double.worker.frame_clock import FrameClock
from tests.livekit_double.worker.picture import black_picture
from tests.livekit_double.worker.publication import Publication
from tests.livekit_double.worker.segments import Cutter, Segment
from tests.livekit_double.worker.source import Source
from tests.livekit_double.worker.starvation import Starvation

_NANOSECONDS = 1_000_000_000
_LOOK_AGAIN_SECONDS = 0.01


class TrackState(Enum):
    """What comes in on one track."""

    ABSENT = "absent"  # never part of this egress
    FLOWING = "flowing"
    SILENT = "silent"  # muted or starved: black, or silence
    GONE = "gone"  # unpublished


class Recording:
    """One egress's media. The thread is the only one that touches encoders and files."""

    def __init__(
        self,
        plan: EncodingPlan,
        publication: Publication,
        source: Source,
        *,
        video: TrackState,
        audio: TrackState,
        timing: Timing,
        on_failure: Callable[[OSError], None],
    ) -> None:
        """Opens the encoders.

        Args:
            plan: what to encode.
            publication: where segments go.
            source: where media come from.
            video: state of the video track at the start.
            audio: state of the audio track at the start.
            timing: delays.
            on_failure: called from the thread when a file cannot be written; the recording is over then.
        """
        self._plan = plan
        self._publication = publication
        self._source = source
        self._video_state = video
        self._audio_state = audio
        self._timing = timing
        self._clock = FrameClock(plan.frames_per_second)
        self._starvation = Starvation(plan)
        # No picture is encoded before this frame; a muted video starts late, and an unmute leaves a gap.
        self._pictures_from = 0
        if video is TrackState.SILENT:
            self._pictures_from = round(timing.muted_start_video_lag_seconds * plan.frames_per_second)
        self._shown = video
        self._on_failure = on_failure
        self._black = black_picture(plan.width, plan.height)
        self._video = VideoEncoder(plan) if video is not TrackState.ABSENT else None
        self._audio = AudioEncoder(plan) if audio is not TrackState.ABSENT else None
        self._cutter = Cutter(self._video is not None, plan.segment_seconds)
        self._frames = 0
        self._ending = threading.Event()
        self._killed = False
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self.started_at_ns = 0

    def start(self, started_at_ns: int) -> None:
        """Captures.

        Args:
            started_at_ns: wall clock of the first frame, now or a moment ago.
        """
        self.started_at_ns = started_at_ns
        monotonic_start = time.monotonic() - (time.time_ns() - started_at_ns) / _NANOSECONDS
        self._clock.start(monotonic_start + self._source.delay_seconds)
        self._publication.begin(started_at_ns, monotonic_start)
        self._thread.start()

    def set_tracks(self, video: TrackState, audio: TrackState) -> None:
        """Takes over what the room says; holds from the next frame on."""
        self._video_state = self._video_state if self._video_state is TrackState.ABSENT else video
        self._audio_state = self._audio_state if self._audio_state is TrackState.ABSENT else audio

    def starve(self, *, starved: bool) -> None:
        """Takes the CPU away, or gives it back."""
        self._starvation.on = starved

    def disturb_clock(self, *, jump_seconds: float, pace: float) -> None:
        """Makes the run's clock wrong from the next frame on; see `FrameClock.disturb`."""
        self._clock.disturb(self._frames, jump_seconds=jump_seconds, pace=pace)

    def finish(self) -> int:
        """Ends regularly: everything reaches its final name. Blocks until that is done.

        Returns:
            The length of what was captured, in nanoseconds.
        """
        self._ending.set()
        self._thread.join()
        return self._frames * _NANOSECONDS // self._plan.frames_per_second

    def kill(self) -> None:
        """Ends as `kill -9` does: what has not been published is lost. Blocks until the thread is gone."""
        self._killed = True
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._publication.discard()

    def _run(self) -> None:
        try:
            while not self._ending.wait(self._seconds_to_next_step()):
                self._step()
            if not self._killed:
                self._capture_what_has_arrived()
                self._flush_encoders()
                self._close(self._cutter.finish())
                self._publication.finish()
        except OSError as error:
            self._publication.discard()
            self._on_failure(error)

    def _seconds_to_next_step(self) -> float:
        now = time.monotonic()
        due = self._clock.due(self._frames)
        if now >= due and self._is_to_come(now):
            due = now + _LOOK_AGAIN_SECONDS
        return max(0.0, min(due, self._publication.next_due()) - now)

    def _step(self) -> None:
        now = time.monotonic()
        if now >= self._publication.next_due():
            self._publication.publish_next()
        if now >= self._clock.due(self._frames) and not self._is_to_come(now):
            self._capture()

    def _is_to_come(self, now: float) -> bool:
        # On a busy machine media come late. To take nothing in their place would double a picture here, and
        # drop one there.
        patient = now < self._clock.due(self._frames) + self._source.patience_seconds
        return patient and not self._source.has_arrived(self._frames, self._captured_at_ns(self._frames))

    def _capture_what_has_arrived(self) -> None:
        until = time.monotonic() + self._source.held_seconds
        while self._source.held_seconds and self._clock.due(self._frames) <= until:
            self._capture()

    def _capture(self) -> None:
        number = self._frames
        self._frames += 1
        if self._audio is not None:
            self._capture_sound(self._audio, until=Fraction(number + 1, self._plan.frames_per_second))
        if self._video is None:
            return
        state = self._video_now()
        if state is TrackState.GONE:
            self._end_video(self._video)
            return
        if state is TrackState.FLOWING and self._shown is TrackState.SILENT:
            gap = round(self._timing.unmute_gap_seconds * self._plan.frames_per_second)
            self._pictures_from = max(self._pictures_from, number + gap - 1)
        self._shown = state
        if number >= self._pictures_from:
            self._close(self._cutter.add_video(self._video.encode(self._picture(number), number)))

    def _video_now(self) -> TrackState:
        # What arrived before the track fell silent or went is still to be shown.
        return TrackState.FLOWING if self._source.pictures_waiting() else self._video_state

    def _picture(self, number: int) -> NDArray[np.uint8]:
        if self._shown is not TrackState.FLOWING:
            return self._black
        seen = self._starvation.picture_seen(number)
        picture = self._source.picture(seen, self._captured_at_ns(seen))
        return self._black if picture is None else picture

    def _captured_at_ns(self, number: int) -> int:
        # The instant at which the frame was due: a late thread must not shift the camera's clock.
        return self.started_at_ns + round(self._clock.seconds_since_start(number) * _NANOSECONDS)

    def _capture_sound(self, encoder: AudioEncoder, until: Fraction) -> None:
        taken = encoder.samples_taken
        count = int(until * self._plan.audio_hz) - taken
        late_seconds = self._clock.late_seconds(self._frames)
        after_seconds = taken / self._plan.audio_hz + late_seconds
        samples = self._source.sound(self.started_at_ns + round(after_seconds * _NANOSECONDS), count)
        if self._audio_state is not TrackState.FLOWING and not self._source.knows_tracks:
            samples[:] = 0
        packets = self._starvation.packets_heard(encoder.encode(samples))
        self._close(self._cutter.add_audio(packets))

    def _end_video(self, encoder: VideoEncoder) -> None:
        # From here on no key frame comes: no segment ever closes, and the sound piles up in the open one.
        self._close(self._cutter.add_video(encoder.flush()))
        self._video = None
        self._publication.expedite(time.monotonic() + self._timing.unpublished_flush_seconds)

    def _flush_encoders(self) -> None:
        if self._audio is not None:
            self._close(self._cutter.add_audio(self._audio.flush()))
        if self._video is not None:
            self._close(self._cutter.add_video(self._video.flush()))

    def _close(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._publication.close_segment(segment, self._clock.late_seconds(self._frames))

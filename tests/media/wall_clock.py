"""Runs that follow one wall clock, and what a clip of several of them must show and play."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from pathlib import Path

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.api.replaycapture import Clip, Track
from replay_operator.media.capture import make_clip
from tests.media.clip_reader import beeps, decode_errors, dropouts, packets, shown_frames
from tests.media.segment_maker import STARTED_AT, RunShape

FPS = 30
AAC_FRAME = 1024 / 44100
CUT_FRAMES = 3
"""What a change of runs may cost: frames that cannot be cut off cleanly."""

SHAPES = {
    "first": RunShape(),  # 0 to 12 s
    "second": RunShape(starts_at_seconds=7.4),  # to 19.4 s
    "third": RunShape(seconds=8, starts_at_seconds=16.2),  # to 24.2 s
    "after a pause": RunShape(seconds=8, starts_at_seconds=15),
    "after a hole": RunShape(seconds=8, starts_at_seconds=30),
    "late microphone": RunShape(starts_at_seconds=7.4, sound_delay_seconds=5),
    "only picture": RunShape(starts_at_seconds=7.4, tracks=frozenset({Track.VIDEO}), first_pid=0x41),
    "only sound": RunShape(starts_at_seconds=7.4, tracks=frozenset({Track.AUDIO}), first_pid=0x41),
    "like the worker": RunShape(first_pid=0x41),
    "other size": RunShape(starts_at_seconds=7.4, width=640, height=360),
    "other sound": RunShape(starts_at_seconds=7.4, sample_rate_hz=48000, channels=1),
    "unmuted": RunShape(starts_at_seconds=7.4, seconds=14, pauses_at_seconds=5, pause_seconds=2),
    "other profile": RunShape(starts_at_seconds=7.4, profile="baseline", b_frames=0),
    "unpublished": RunShape(sound_overhang_seconds=75),
    "brief": RunShape(seconds=4, starts_at_seconds=4.4),
}


def made_clip(request: CaptureRequest) -> tuple[Path, Clip]:
    """Make a clip that decodes without a complaint."""
    place, result = make_clip(request)
    assert result.clip is not None
    assert decode_errors(place.clip) == ""
    return place.clip, result.clip


def seconds_of(moment: datetime) -> float:
    return (moment - STARTED_AT).total_seconds()


def missing_numbers(path: Path, clip: Clip, holes: tuple[tuple[float, float], ...] = ()) -> list[int]:
    """Check that each picture is shown once, at its place on the wall clock; give those that are not."""
    shown = shown_frames(path)
    begin = seconds_of(clip.start)
    assert all(a.number < b.number for a, b in pairwise(shown))
    assert max(abs(s.seconds - (s.number / FPS - begin)) for s in shown) < 0.005
    present = {s.number for s in shown}
    wanted = range(shown[0].number, shown[-1].number + 1)
    inside = (n for n in wanted if not any(a - 0.01 <= n / FPS < b - 0.01 for a, b in holes))
    return [n for n in inside if n not in present]


def assert_in_sync(path: Path, clip: Clip, expected_beeps: list[int] | None = None) -> None:
    """Check that each full second beeps in its own tone, within 50 ms of its place on the wall clock."""
    begin = seconds_of(clip.start)
    shown_seconds = clip.milliseconds / 1000
    heard = [b for b in beeps(path) if 0.15 < b.seconds < shown_seconds - 0.2]
    assert max((abs(begin + b.seconds - b.second) for b in heard), default=0) < 0.05
    if expected_beeps is None:
        expected_beeps = [s for s in range(100) if begin + 0.15 < s < seconds_of(clip.end) - 0.2]
    assert [b.second for b in heard] == expected_beeps


def assert_gapless_sound(path: Path) -> None:
    steps = packets(path, "audio").steps()
    assert max(steps) < 1.55 * AAC_FRAME
    assert min(steps) > 0.45 * AAC_FRAME
    assert dropouts(path) == []

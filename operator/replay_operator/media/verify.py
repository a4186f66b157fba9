"""Holds the finished MP4 against its plan. Pure. A clip that differs is never published.

Packets and key frames must agree to one, however many runs the clip is made of. Only where a segment was
lost may a packet at each edge of the damage be cut in two and be lost or counted twice; the plan says so.
Times may differ by one frame: the length of the very last frame is an estimate on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import Track
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.mp4 import MovieFacts, TrackFacts
from replay_operator.media.plan import Plan, TrackPlan

_AAC_FRAME_TICKS = 2090
"""1024 samples at 44.1 kHz. Sound is placed on whole samples and packets."""


def verify(plan: Plan, movie: MovieFacts) -> None:
    """Compare.

    Raises:
        CaptureFailedError: VerificationFailed, with every difference.
    """
    differences = list(_differences(plan, movie))
    if differences:
        raise CaptureFailedError(
            CaptureErrorReason.VERIFICATION_FAILED,
            f"the finished file is not what was planned: {'; '.join(differences)}. Nothing was published; "
            "try again, and report it when it stays",
        )


def _differences(plan: Plan, movie: MovieFacts) -> Iterator[str]:
    if not movie.index_first:
        yield "its index lies behind the media, so that it cannot play while it loads"
    in_samples = sum(t.sample_bytes for t in movie.tracks)
    if in_samples != movie.media_bytes:
        yield f"its samples have {in_samples} bytes, its media {movie.media_bytes}"
    by_track = {t.track: t for t in movie.tracks}
    if [t.track for t in movie.tracks] != [t.track for t in plan.tracks]:
        yield f"it has {_names(by_track)} instead of {_names({t.track: t for t in plan.tracks})}"
    for planned in plan.tracks:
        found = by_track.get(planned.track)
        if found is not None:
            yield from _track_differences(plan, planned, found)


def _track_differences(plan: Plan, planned: TrackPlan, found: TrackFacts) -> Iterator[str]:
    name = planned.track.value
    if abs(found.samples - planned.packets) > plan.packets_in_doubt:
        yield f"{found.samples} {name} packets instead of {planned.packets}"
    keys = len(planned.key_frames)
    if planned.track is Track.VIDEO and found.sync_samples != keys:
        yield f"{found.sync_samples} key frames instead of {keys}"
    frame = max(planned.frame_ticks, _AAC_FRAME_TICKS)
    for what, is_ticks, should_ticks in (
        ("is delayed by", found.delay, max(planned.start - plan.start, 0)),
        ("hides", found.hidden, max(plan.start - planned.start, 0)),
        ("is shown for", found.shown, planned.end - max(planned.start, plan.start)),
    ):
        if abs(is_ticks - should_ticks) > frame:
            yield f"{name} {what} {is_ticks / 90:.0f} ms instead of {should_ticks / 90:.0f} ms"


def _names(tracks: dict[Track, TrackFacts] | dict[Track, TrackPlan]) -> str:
    return " and ".join(t.value for t in tracks) or "no track"

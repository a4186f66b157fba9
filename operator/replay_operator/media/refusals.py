"""When no clip is made of a range, and the sentence that says so. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.replaycapture import HoleReason, Track, WhenShort
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.runs import Run
from replay_operator.media.selection import Selection
from replay_operator.media.timeline import MIN_PAUSE_TICKS, TICKS_PER_SECOND, Interval, milliseconds
from replay_operator.media.ts_probe import TrackScan


def refuse_format_change_inside(selection: Selection) -> None:
    """Refuse a run whose format changes, or whose time goes back, among the segments of the range.

    Raises:
        CaptureFailedError: UnsupportedLayout.
    """
    latest: dict[Track, TrackScan] = {}
    for segment in selection.segments:
        for scan in segment.scan.tracks:
            before = latest.get(scan.track)
            if before is not None and _differ(before, scan):
                raise _unsupported(
                    f"the {scan.track} format changes at {segment.file.path}: ask for a range on one side of "
                    f"{selection.run.instant(scan.start - selection.shift).isoformat()}"
                )
            if before is not None and scan.start < before.end - TICKS_PER_SECOND:
                raise _unsupported(
                    f"the {scan.track} timestamps go back at {segment.file.path}: "
                    "ask for a range on one side of it"
                )
            latest[scan.track] = scan


def refuse_short(
    reference: Run, selections: Sequence[Selection], start: int, when_short: WhenShort, *, reaches_back: bool
) -> None:
    """Refuse a range that begins before the buffer does, if that was asked for.

    Args:
        reference: The run on whose timeline the times are.
        selections: The runs with media in the range.
        start: Where the range begins.
        when_short: What was asked for.
        reaches_back: Another run has media from before the range.

    Raises:
        CaptureFailedError: BufferTooShort.
    """
    oldest = min(s.oldest_ticks for s in selections if s.oldest_ticks is not None)
    if when_short is WhenShort.FAIL and not reaches_back and oldest > start + MIN_PAUSE_TICKS:
        raise CaptureFailedError(
            CaptureErrorReason.BUFFER_TOO_SHORT,
            f"the buffer does not reach back to {reference.instant(start).isoformat()}; "
            f"it begins at {reference.instant(oldest).isoformat()}: "
            "ask for a later start, or set whenShort to Clamp",
        )


def refuse_holes(reference: Run, holes: Sequence[tuple[Interval, HoleReason]]) -> None:
    """Refuse a range with a hole in it.

    Args:
        reference: The run on whose timeline the times are.
        holes: What was not recorded.

    Raises:
        CaptureFailedError: HolesInRange.
    """
    if holes:
        first, reason = holes[0]
        raise CaptureFailedError(
            CaptureErrorReason.HOLES_IN_RANGE,
            f"{len(holes)} stretches of the range were not recorded, the first from "
            f"{reference.instant(first.start).isoformat()} for {milliseconds(first.ticks)} ms ({reason}): "
            "ask for another range, or set holes to Keep",
        )


def no_media(reference: Run, wanted: Interval) -> CaptureFailedError:
    """Make the failure that says that there is nothing to cut.

    Args:
        reference: The run on whose timeline the range is.
        wanted: The range.
    """
    return CaptureFailedError(
        CaptureErrorReason.NO_MEDIA,
        f"buffer {reference.directory.parent.name} has no media between "
        f"{reference.instant(wanted.start).isoformat()} and {reference.instant(wanted.end).isoformat()}: "
        "ask for a range that was recorded",
    )


def _differ(before: TrackScan, after: TrackScan) -> bool:
    # A segment without a key frame does not tell its parameters.
    parameters = {before.parameters, after.parameters} - {""}
    return before.pid != after.pid or len(parameters) > 1


def _unsupported(sentence: str) -> CaptureFailedError:
    return CaptureFailedError(CaptureErrorReason.UNSUPPORTED_LAYOUT, sentence)

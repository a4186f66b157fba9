"""Makes one clip: select, scan, plan, join, verify, publish. The shell around the pure parts."""

from __future__ import annotations

import math
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from replay_operator.api.capture_job import CaptureErrorReason, CaptureRequest, CaptureResult
from replay_operator.api.replaycapture import Clip, Holes
from replay_operator.media.archive import (
    ClipPlace,
    archive_errors,
    clip_place,
    part_file,
    reserve,
    written_back_early,
)
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.ffmpeg import Labels, join
from replay_operator.media.head_start import HeadStart
from replay_operator.media.leftovers import clear_leftovers
from replay_operator.media.mp4 import MovieFacts, NotMp4Error, read_movie
from replay_operator.media.plan import Plan, Wanted, make_plan
from replay_operator.media.publish import publish, published_before
from replay_operator.media.runs import Run, read_buffer
from replay_operator.media.selection import Selection, select_segments
from replay_operator.media.stopwatch import Stopwatch
from replay_operator.media.tail import await_tail, newest_instant
from replay_operator.media.timeline import TICKS_PER_SECOND, Interval
from replay_operator.media.verify import verify

_MAX_LISTED = 64
"""Clip.holes and Clip.gaps hold at most so many."""
_JOIN_BASE_SECONDS = 120
_JOIN_SLOWEST_BYTES_PER_SECOND = 2_000_000
"""A volume slower than this is taken for one that hangs."""


def make_clip(request: CaptureRequest, watch: Stopwatch | None = None) -> tuple[ClipPlace, CaptureResult]:
    """Make and publish the clip that is asked for.

    Args:
        request: The range, the buffer and the place of the clip.
        watch: Measures the parts; the result and the sidecar tell of those before the publication.

    Returns:
        The clip's place and its result; the same again when this capture has published it before.

    Raises:
        CaptureFailedError: There is no clip, and nothing under its name that was not there before.
    """
    if request.start >= request.end:
        raise CaptureFailedError(
            CaptureErrorReason.BAD_REQUEST,
            f"the range ends at {request.end.isoformat()}, not after its start {request.start.isoformat()}",
        )
    watch = watch or Stopwatch()
    place = clip_place(request.archive_directory, request.clip_path)
    before = published_before(place, request.capture_uid)
    clear_leftovers(place, request.capture_uid, request.attempt)
    if before is not None:
        return place, before
    part = place.part(request.attempt)
    with (
        part_file(place, request.attempt) as descriptor,
        written_back_early(descriptor),
        HeadStart(part, request.title) as ahead,
    ):
        with watch.measure("wait"):
            await_tail(
                request,
                clock=lambda: datetime.now(UTC),
                pause=time.sleep,
                meanwhile=lambda: ahead.begin(lambda: plan_ahead(request), _asked_ticks(request)),
            )
        with watch.measure("plan"):
            plan = plan_clip(request, in_shares=ahead.is_on)
        timeout_seconds = _JOIN_BASE_SECONDS + plan.size_bytes / _JOIN_SLOWEST_BYTES_PER_SECOND
        with watch.measure("join"):
            if not ahead.finish(plan, timeout_seconds=timeout_seconds):
                reserve(descriptor, place, plan.size_bytes)
                labels = Labels(title=request.title, created_at=plan.first_instant)
                join(plan, part, labels, timeout_seconds=timeout_seconds)
        with watch.measure("verify"):
            movie = _read_finished(descriptor, place)
            verify(plan, movie)
        clip = describe_clip(plan, place.relative, movie.size_bytes)
        result = CaptureResult(capture_uid=request.capture_uid, clip=clip, timings=watch.timings)
        with watch.measure("publish"):
            publish(descriptor, place, result)
    return place, result


def plan_ahead(request: CaptureRequest) -> Plan:
    """Plan the clip from what is on disk, while the last segment is awaited: its end is no hole yet.

    Raises:
        CaptureFailedError: The range cannot be had from this buffer as it is now.
    """
    patient = request if request.holes is not Holes.FAIL else request.model_copy(update={"holes": Holes.KEEP})
    return plan_clip(patient, in_shares=True)


def plan_clip(request: CaptureRequest, *, in_shares: bool = False) -> Plan:
    """Read the buffer and plan the clip.

    Args:
        request: What is asked for.
        in_shares: Plan packet by packet even where whole segments would do.

    Raises:
        CaptureFailedError: The range cannot be had from this buffer, or the buffer cannot be read.
    """
    runs = read_buffer(Path(request.buffer_directory))
    try:
        selections = [select_segments(run, _interval(run, request)) for run in runs]
    except OSError as error:
        raise CaptureFailedError(
            CaptureErrorReason.BUFFER_UNREADABLE,
            f"cannot read a segment in {request.buffer_directory}: {error.strerror}. Check the buffer volume",
        ) from error
    found = sorted(_with_media(selections, request), key=lambda s: s.run.media_started_at_ns)
    reference = found[0].run
    asked = Wanted(
        range=_interval(reference, request),
        when_short=request.when_short,
        holes=request.holes,
        trim=request.trim,
        reaches_back=any(o <= request.start for s in selections if (o := _oldest(s)) is not None),
        in_shares=in_shares,
    )
    return make_plan([s.on_timeline_of(reference) for s in found], asked)


def describe_clip(plan: Plan, path: str, size_bytes: int) -> Clip:
    """Say what the clip is, for the resource's status and the sidecar.

    Args:
        plan: What was made.
        path: Its path on the archive volume.
        size_bytes: Its size.
    """
    return Clip(
        path=path,
        bytes=size_bytes,
        milliseconds=plan.milliseconds,
        start=plan.first_instant,
        end=plan.last_instant,
        segments=len(plan.segments),
        runs=plan.runs,
        clock=plan.clock,
        holes=plan.holes[:_MAX_LISTED],
        holes_omitted=max(len(plan.holes) - _MAX_LISTED, 0),
        gaps=plan.gaps[:_MAX_LISTED],
        gaps_omitted=max(len(plan.gaps) - _MAX_LISTED, 0),
    )


def _with_media(selections: list[Selection], request: CaptureRequest) -> list[Selection]:
    """Take the runs that have media in the range."""
    found = [s for s in selections if s.segments]
    if found:
        return found
    oldest = min((o for s in selections if (o := _oldest(s)) is not None), default=None)
    newest = newest_instant([s.run for s in selections])
    reach = (
        f"its media on disk reaches from {oldest.isoformat()} to {newest.isoformat()}"
        if oldest and newest
        else "it holds no complete segment"
    )
    raise CaptureFailedError(
        CaptureErrorReason.NO_MEDIA,
        f"buffer {request.buffer or request.buffer_directory} has no media between "
        f"{request.start.isoformat()} and {request.end.isoformat()}; {reach}: "
        "ask for a range that was recorded",
    )


def _interval(run: Run, request: CaptureRequest) -> Interval:
    return Interval(run.ticks_at(request.start), run.ticks_at(request.end))


def _asked_ticks(request: CaptureRequest) -> int:
    return math.ceil((request.end - request.start).total_seconds() * TICKS_PER_SECOND)


def _oldest(selection: Selection) -> datetime | None:
    ticks = selection.oldest_ticks
    return None if ticks is None else selection.run.instant(ticks)


def _read_finished(descriptor: int, place: ClipPlace) -> MovieFacts:
    with archive_errors(place.clip), os.fdopen(os.dup(descriptor), "rb") as file:
        try:
            return read_movie(file)
        except NotMp4Error as error:
            raise CaptureFailedError(
                CaptureErrorReason.VERIFICATION_FAILED,
                f"the finished file for {place.relative} is not playable: {error}. Nothing was published; "
                "try again, and report it when it stays",
            ) from error

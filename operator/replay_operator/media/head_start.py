"""Joins what is on disk already while the last segment is awaited, so that only that one is left to add.

What ffmpeg has been fed cannot be taken back. So the head start counts only when the final plan begins with
exactly the same packets at the same times. Else the clip is joined from its beginning, as without it.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Self

from replay_operator.media.cut import Share
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.feed import Feed
from replay_operator.media.ffmpeg import (
    MOOV_TOO_SMALL,
    FfmpegResult,
    Labels,
    join_arguments,
    refuse_failed,
    too_slow,
)
from replay_operator.media.plan import Plan

_SPARE_MOOV_BYTES = 64 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    plan: Plan
    shares: tuple[Share, ...]
    feed: Feed
    ffmpeg: subprocess.Popen[bytes]
    complaints: int


class HeadStart:
    """One try to be ahead. Whatever it has begun is ended with its context.

    Args:
        output: The file for the clip, which exists.
        title: Title of the clip.
    """

    def __init__(self, output: Path, title: str | None) -> None:
        self._output = output
        self._title = title
        self._tried = False
        self._begun: _Begun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up()

    @property
    def is_on(self) -> bool:
        """Whether there is something that the final plan should begin with."""
        return self._begun is not None

    def begin(self, plan: Callable[[], Plan], asked_ticks: int) -> None:
        """Join what there is, the first time that this is called.

        Args:
            plan: Makes a plan of shares from what is on disk, to be continued.
            asked_ticks: Length of the whole range: the clip will not be longer by more than a segment.
        """
        if self._tried:
            return
        self._tried = True
        try:
            so_far = plan()
        except CaptureFailedError:
            return  # what is wrong may be right with the last segment; if not, the final plan says so
        shares = settled_shares(so_far)
        if shares:
            self._start(so_far, shares, asked_ticks)

    def finish(self, plan: Plan, *, timeout_seconds: float) -> bool:
        """Add what is missing.

        Args:
            plan: The final plan, of shares.
            timeout_seconds: Longest time until ffmpeg ends.

        Returns:
            Whether the file is the whole clip now. If not, it is empty again.

        Raises:
            CaptureFailedError: BufferUnreadable, JoinFailed or ArchiveFull.
        """
        begun = self._begun
        if begun is None:
            return False
        if not continues(begun.plan, begun.shares, plan):
            _log.info("what was joined ahead is not how the clip begins: it is joined anew")
            self._start_over()
            return False
        _log.info("%d of %d shares were joined ahead", len(begun.shares), len(plan.shares))
        begun.feed.put(plan.shares[len(begun.shares) :])
        begun.feed.end()
        try:
            exit_code = begun.ffmpeg.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            raise too_slow(timeout_seconds) from error
        result = FfmpegResult(exit_code, _read_back(begun.complaints))
        if MOOV_TOO_SMALL in result.stderr:
            _log.warning("the index does not fit before what was joined ahead: it is joined anew")
            self._start_over()
            return False
        self._give_up()
        if begun.feed.failure is not None:
            raise begun.feed.failure
        refuse_failed(result, self._output)
        return True

    def _start(self, plan: Plan, shares: tuple[Share, ...], asked_ticks: int) -> None:
        times_longer = max(asked_ticks / max(plan.end - plan.start, 1), 1.0)
        arguments = join_arguments(
            plan,
            source="pipe:0",
            output=self._output,
            labels=Labels(title=self._title, created_at=plan.first_instant),
            moov_bytes=int(plan.moov_bytes * times_longer) + _SPARE_MOOV_BYTES,
        )
        feed = Feed(plan)
        # A file in memory: nobody reads a pipe while the last segment is awaited.
        complaints = os.memfd_create("stderr", os.MFD_CLOEXEC)
        try:
            ffmpeg = subprocess.Popen(
                arguments, stdin=feed.reader, stdout=subprocess.DEVNULL, stderr=complaints
            )
        except OSError:
            feed.close()
            os.close(complaints)
            return  # the join will say that ffmpeg is not there
        self._begun = _Begun(plan, shares, feed, ffmpeg, complaints)
        feed.put(shares)

    def _start_over(self) -> None:
        self._give_up()
        # Nothing of this may stay behind the end of what comes.
        os.truncate(self._output, 0)

    def _give_up(self) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            return
        with suppress(ProcessLookupError):
            begun.ffmpeg.kill()
        begun.ffmpeg.wait()
        begun.feed.close()
        os.close(begun.complaints)


def settled_shares(plan: Plan) -> tuple[Share, ...]:
    """Give the first shares of a plan, those that more segments will most likely not change.

    The newest segment of the run that goes on may be cut where another run begins, or where the range ends.

    Args:
        plan: Made before the last segment of its range was there.
    """
    if not plan.shares:
        return ()
    going_on = plan.shares[-1].selection.run.directory
    newest = max(s.segment.file.index for s in plan.shares if s.selection.run.directory == going_on)
    return tuple(
        takewhile(
            lambda s: s.selection.run.directory != going_on or s.segment.file.index < newest, plan.shares
        )
    )


def continues(before: Plan, shares: tuple[Share, ...], after: Plan) -> bool:
    """Tell whether a plan begins with what has been joined for an earlier one.

    Args:
        before: The earlier plan.
        shares: What has been joined of it.
        after: The later plan.
    """
    return _frame(before) == _frame(after) and [_key(s) for s in shares] == [
        _key(s) for s in after.shares[: len(shares)]
    ]


def _frame(plan: Plan) -> Hashable:
    """What ffmpeg and the stream were told at their start."""
    tracks = tuple((t.track, t.pid) for t in plan.tracks)
    return (plan.origin, plan.start, plan.first_instant, plan.closed, tracks)


def _key(share: Share) -> Hashable:
    file = share.segment.file
    return (file.path, file.stamp, share.track, share.first, share.last, share.selection.shift)


def _read_back(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

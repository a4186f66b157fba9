"""Writes the packets of a plan as one MPEG-TS stream into a pipe, while ffmpeg reads it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.media.cut import Share
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.plan import Plan
from replay_operator.media.timeline import TICKS_PER_SECOND, closed_before
from replay_operator.media.ts_excerpt import Excerpt, ExcerptWriter
from replay_operator.media.ts_grid import NotMpegTsError
from replay_operator.media.ts_probe import TrackScan

_STREAM_START_TICKS = 10 * TICKS_PER_SECOND
"""Where the stream begins: decode times may lie 2 s before (livekit-measured §3), and none below zero."""
_PIPE_BYTES = 1 << 20
"""What an unprivileged process may ask for; with the usual 64 KiB both sides wait for each other."""
_END_SECONDS = 30.0


class Feed:
    """A pipe and the thread that writes into it what it is given.

    Args:
        plan: Tells the tracks and the times of the stream. Its shares are not taken by themselves.
    """

    def __init__(self, plan: Plan) -> None:
        self.reader, writer = os.pipe()
        with suppress(OSError):
            fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._feeder = _Feeder(plan, writer)
        self._feeder.start()

    def put(self, shares: Sequence[Share]) -> None:
        """Write these next.

        Args:
            shares: All that there are of a segment come at once.
        """
        self._feeder.batches.put(shares)

    def end(self) -> None:
        """End the stream behind what was given."""
        self._feeder.batches.put(None)

    def close(self) -> None:
        """Give the pipe up. Whoever read from it has ended before."""
        self.end()
        # Without a reader the feeder does not wait any longer.
        os.close(self.reader)
        self._feeder.join(_END_SECONDS)

    @property
    def failure(self) -> CaptureFailedError | None:
        """BufferUnreadable, when a segment has gone or is no longer what was scanned."""
        return self._feeder.failure


@contextmanager
def feed(plan: Plan) -> Iterator[int]:
    """Offer the stream of a plan that has shares.

    Args:
        plan: What to write.

    Yields:
        The end of a pipe to read from. Whoever reads has ended before the context does.

    Raises:
        CaptureFailedError: BufferUnreadable, when a segment has gone or is no longer what was scanned.
    """
    stream = Feed(plan)
    stream.put(plan.shares)
    stream.end()
    try:
        yield stream.reader
    finally:
        stream.close()
    if stream.failure is not None:
        raise stream.failure


class _Feeder(Thread):
    """Writes and closes its end. A daemon: a volume that hangs must not keep the process."""

    def __init__(self, plan: Plan, writer: int) -> None:
        super().__init__(name="feed", daemon=True)
        self.batches: SimpleQueue[Sequence[Share] | None] = SimpleQueue()
        self._plan = plan
        self._writer = writer
        self.failure: CaptureFailedError | None = None

    def run(self) -> None:
        path = Path()
        try:
            # An ffmpeg that ends early says itself why.
            with suppress(BrokenPipeError), os.fdopen(self._writer, "wb", buffering=0) as pipe:
                stream = ExcerptWriter()
                _write(pipe.fileno(), stream.tables([t.track for t in self._plan.tracks]))
                for batch in iter(self.batches.get, None):
                    for path, shares in groupby(batch, key=lambda s: s.segment.file.path):
                        _write(pipe.fileno(), self._excerpt(stream, path, list(shares)))
        except (OSError, NotMpegTsError) as error:
            self.failure = CaptureFailedError(
                CaptureErrorReason.BUFFER_UNREADABLE,
                f"cannot read {path} again: {error}. It was there a moment ago: "
                "check the buffer volume, and whether the range is pinned",
            )

    def _excerpt(self, stream: ExcerptWriter, path: Path, shares: list[Share]) -> bytes:
        selection = shares[0].selection
        into_stream = _STREAM_START_TICKS - self._plan.origin

        def moved(pts: int) -> int:
            common = pts + selection.shift
            return common - closed_before(self._plan.closed, common) + into_stream

        near = selection.run.expected_ticks(shares[0].segment.file.index)
        return stream.packets(path.read_bytes(), [_excerpt(s) for s in shares], near, moved)


def _excerpt(share: Share) -> Excerpt:
    scan = next(t for t in share.segment.scan.tracks if t.track is share.track)
    return Excerpt(share.track, scan.pid, _unit(scan, share.first), _unit(scan, share.last))


def _unit(scan: TrackScan, position: int) -> int:
    """Give the number of the PES packet that begins at a packet's position."""
    if not scan.units:
        return position
    return scan.units.index(position) if position < len(scan.pts) else len(scan.units)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]

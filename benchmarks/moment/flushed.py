"""`tail: Flush` on a live buffer: from the click to its last instant on disk, and to the clip."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.moment.bed import Click, record
from benchmarks.moment.parts import Part, parts_of, spread, table
from replay_operator.domain.capture_timing import FRAME_TOLERANCE
from replay_operator.media.runs import read_buffer
from replay_operator.media.selection import read_and_scan
from tests.stack.finished_run import BUFFER_CLAIM
from tests.stack.stack import Stack

SAVED_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Flushed:
    """One flushed capture. All in milliseconds from the click, but for `waited`.

    `waited` is how long the worker stood ready before the last segment came: as long as it is not 0, the
    start of its pod costs nothing.
    """

    on_disk: float
    ready: float
    waited: float
    parts: Sequence[Part]


class NeverOnDiskError(Exception):
    """A clip is ready, and no segment on the volume holds its last instant."""


def save_flushed(
    stack: Stack, segment_seconds: int, captures: int, say: Callable[[str], None], seed: int
) -> list[Flushed]:
    """Record, and click at moments that a seed chooses, one capture at a time.

    Args:
        stack: Where.
        segment_seconds: Length of a segment.
        captures: How often.
        say: Tells how far it is.
        seed: Of the moments.
    """
    chance = random.Random(f"{seed}/{segment_seconds}")  # noqa: S311 - moments, no secrets
    buffer = record(stack, segmentSeconds=segment_seconds)
    name = buffer["metadata"]["name"]
    directory = stack.node.volume_path(stack.namespace, BUFFER_CLAIM) / buffer["status"]["storage"]["path"]
    found: list[Flushed] = []
    for number in range(captures):
        # A run is left alone for the length of a segment; then any moment is as likely as another.
        time.sleep(segment_seconds * (1 + chance.random()) + 1)
        click = Click(stack, name)
        moment = {"last": {"seconds": SAVED_SECONDS, "until": click.at.isoformat()}}
        capture = click.save(range=moment, tail="Flush")
        told = click.told(capture)
        parts = parts_of(told, click.requests())
        found.append(
            Flushed(
                on_disk=_milliseconds(arrival_of(directory, click.at) - click.at),
                ready=sum(part.milliseconds for part in parts),
                waited=told.timings.wait or 0,
                parts=parts,
            )
        )
        say(f"segmentSeconds {segment_seconds}, click {number + 1} of {captures}: {_sentence(found[-1])}")
        click.forget()
    stack.kubectl("delete", "rb", name)
    return found


def arrival_of(directory: Path, moment: datetime) -> datetime:
    """Give when the first segment came to the disk that holds an instant.

    Args:
        directory: Of the buffer.
        moment: A capture time.

    Raises:
        NeverOnDiskError: There is none.
    """
    arrivals: list[datetime] = []
    for run in read_buffer(directory):
        for file in run.segments:
            scan = read_and_scan(run, file)
            if scan is None or run.instant(scan.start) > moment:
                continue
            if run.instant(scan.end) >= moment - FRAME_TOLERANCE:
                arrivals.append(datetime.fromtimestamp(file.path.stat().st_mtime, UTC))
    if not arrivals:
        raise NeverOnDiskError(f"no segment below {directory} holds {moment.isoformat()}")
    return min(arrivals)


def flush_table(figures: dict[int, list[Flushed]]) -> str:
    """Show what was measured for each length of a segment, in milliseconds.

    Args:
        figures: By length of a segment in seconds.
    """
    rows = []
    for segment_seconds, found in figures.items():
        columns = (
            [f.on_disk for f in found],
            [f.ready for f in found],
            [f.ready - f.on_disk for f in found],
            [f.waited for f in found],
        )
        cells = [" / ".join(f"{value:.0f}" for value in spread(column)) for column in columns]
        rows.append([str(segment_seconds), str(len(found)), *cells])
    head = ["segmentSeconds", "clicks", "click to disk", "click to Ready", "disk to Ready", "worker waited"]
    return table(head, rows)


def _sentence(one: Flushed) -> str:
    return (
        f"on disk after {one.on_disk:.0f} ms, ready after {one.ready:.0f}; the worker waited {one.waited:.0f}"
    )


def _milliseconds(length: timedelta) -> float:
    return length.total_seconds() * 1000

"""What the disk takes, and what agent and disk did meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.load.figures import DELETED, ERRORS, INSIDE, SCAN_SECONDS, SCANS
from benchmarks.load.pacing import SEGMENT_SECONDS
from benchmarks.scale.metrics_page import metric
from replay_operator.agent.volume_benchmark import Load, free_bytes, measure
from replay_operator.domain.quantity import GIB
from replay_operator.domain.write_budget import WriteBudget, deadline_seconds, write_budget

_WRITERS = (1, 4, 16, 64)
_STEP_SECONDS = 4.0
_MOST_BYTES = 8 * GIB
_SECTOR_BYTES = 512


def measured_budget(
    directory: Path, segment_bytes: int, bytes_per_second: int, say: Callable[[str], None]
) -> WriteBudget | None:
    """Measure as `replay-operator benchmark-volume` does, for a shorter time.

    Args:
        directory: Our own, on the volume.
        segment_bytes: Size of one segment.
        bytes_per_second: Rate of one buffer.
        say: Tells of each step.

    Raises:
        VolumeBenchmarkError: The volume refuses.
    """
    load = Load(
        segment_bytes=segment_bytes,
        segment_seconds=SEGMENT_SECONDS,
        step_seconds=_STEP_SECONDS,
        writer_bytes=_MOST_BYTES / sum(_WRITERS),
        least_free_bytes=free_bytes(directory) / 4,
    )
    steps = []
    for writers in _WRITERS:
        step = measure(directory, writers, load)
        say(
            f"{writers} writers store {step.bytes_per_second / 1e6:.0f} MB/s, "
            f"worst {step.stored.worst_seconds:.1f} s"
        )
        steps.append(step)
        if not step.keeps(deadline_seconds(SEGMENT_SECONDS)):
            break
    return write_budget(steps, segment_seconds=SEGMENT_SECONDS, bytes_per_second=bytes_per_second)


def disk_bytes_written(volume: Path) -> int | None:
    """Give what the disk behind a volume has taken since the machine began, None when there is none.

    Args:
        volume: Any directory on it.
    """
    device = volume.stat().st_dev
    try:
        fields = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    except OSError:
        return None
    return int(fields[6]) * _SECTOR_BYTES


def counted(page: str) -> Mapping[str, float]:
    """Read what is counted from the agent's page of metrics.

    Args:
        page: Its text.
    """
    deleted = "replay_agent_deleted_segments_total"
    return {
        INSIDE: metric(page, deleted, reason="floor") + metric(page, deleted, reason="bytes"),
        DELETED: metric(page, deleted),
        ERRORS: metric(page, "replay_agent_scan_errors_total")
        + metric(page, "replay_agent_deletion_errors_total"),
        SCANS: metric(page, "replay_agent_scan_seconds_count"),
        SCAN_SECONDS: metric(page, "replay_agent_scan_seconds_sum"),
    }

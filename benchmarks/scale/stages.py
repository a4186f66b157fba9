"""Runs the three stages for one number of buffers: bring-up, idle, restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.scale.bed import Bed, BenchError
from benchmarks.scale.buffers import create_buffers
from benchmarks.scale.figures import BringUp, Idle, Restart
from benchmarks.scale.install import NAMESPACE, OPERATOR_USER
from benchmarks.scale.metrics_page import metric
from benchmarks.scale.processes import cpu_seconds, memory
from benchmarks.scale.writes import count_use
from replay_operator.api.replaybuffer import BUFFER_KIND

_START_SECONDS = 120.0
_ROUND_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class StagePlan:
    """How many buffers, and how long to look. All times in seconds."""

    buffers: int
    segment_seconds: int
    window_seconds: int
    settle_seconds: float
    idle_seconds: float
    limit_seconds: float


class _CpuMeter:
    """CPU of every process between two moments."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._begun = time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def percent(self) -> dict[str, float]:
        elapsed = time.monotonic() - self._begun
        return {
            name: 100 * (cpu_seconds(pid) - self._before[name]) / elapsed
            for name, pid in self._pids.items()
            if Path(f"/proc/{pid}").exists()  # an operator that ended by itself has no figure
        }


def bring_up(bed: Bed, plan: StagePlan) -> BringUp:
    """Create all buffers beside a running operator and wait until each of them records.

    Args:
        bed: The processes.
        plan: How many.
    """
    bed.start_operator()
    bed.wait_for("the operator's start", bed.is_ready, seconds=_START_SECONDS)
    offset, calls = bed.audit_size(), bed.livekit_calls()
    meter, begun, begun_at = _CpuMeter(bed.pids), time.monotonic(), datetime.now(UTC)
    asyncio.run(
        create_buffers(
            bed.plane.kubeconfig,
            plan.buffers,
            segment_seconds=plan.segment_seconds,
            window_seconds=plan.window_seconds,
        )
    )
    created = time.monotonic() - begun
    bed.wait_for(
        f"{plan.buffers} recording buffers",
        lambda: _recording(bed) >= plan.buffers,
        seconds=plan.limit_seconds,
    )
    cpu, used = meter.percent(), memory(bed.pids["operator"])
    _confirm_recording(bed, plan.buffers)
    use = count_use(bed.audited(offset), OPERATOR_USER)
    if use.last_status_write is None:
        raise BenchError(f"nobody wrote a status as {OPERATOR_USER}: look at the audit log's users")
    return BringUp(
        create_seconds=created,
        seconds=(use.last_status_write - begun_at).total_seconds(),
        status_writes=use.status_writes,
        events=use.events,
        other_writes=use.other_writes,
        refused=dict(use.refused),
        livekit_calls=_since(bed.livekit_calls(), calls),
        cpu_percent=cpu,
        rss_mib=used.now_mib,
        peak_mib=used.peak_mib,
    )


def idle(bed: Bed, plan: StagePlan) -> Idle:
    """Look at a system in which nothing changes.

    Args:
        bed: The processes.
        plan: How long.
    """
    time.sleep(plan.settle_seconds)
    calls, offset = bed.livekit_calls(), bed.audit_size()
    meter, begun, before = _CpuMeter(bed.pids), time.monotonic(), _reconciles(bed)
    time.sleep(plan.idle_seconds)
    cpu, seconds, reconciles = meter.percent(), time.monotonic() - begun, _reconciles(bed) - before
    use = count_use(bed.audited(offset), OPERATOR_USER)
    return Idle(
        seconds=seconds,
        writes=dict(use.writes),
        reads=use.reads,
        livekit_calls=_since(bed.livekit_calls(), calls),
        cpu_percent=cpu,
        reconciles=int(reconciles),
    )


def restart(bed: Bed, plan: StagePlan) -> Restart:
    """End the operator, start another, and wait until it has been once through all buffers.

    A whole view ends with a list that puts every buffer into the queue. So when as many reconciles as there
    are buffers have gone well after that, each buffer has had its turn.

    Args:
        bed: The processes.
        plan: How many.
    """
    offset = bed.audit_size()
    stopped = bed.stop_operator()
    begun = time.monotonic()
    bed.start_operator()
    before = 0.0

    def is_whole() -> bool:
        # A candidate for the Lease is ready too; one that reconciles leads, and is ready when it sees all.
        nonlocal before
        done, ready = _reconciles(bed), bed.is_ready()
        if not ready:
            before = done
        return done > 0 and ready

    bed.wait_for("a whole view after the restart", is_whole, seconds=_START_SECONDS)
    ready = time.monotonic() - begun
    bed.wait_for(
        "a whole round of reconciles",
        lambda: _reconciles(bed) >= before + plan.buffers,
        seconds=_ROUND_SECONDS,
    )
    followed = time.monotonic() - begun
    time.sleep(plan.settle_seconds)
    used = memory(bed.pids["operator"])
    _confirm_recording(bed, plan.buffers)
    return Restart(
        stop_seconds=stopped,
        ready_seconds=ready,
        seconds=followed,
        writes=dict(count_use(bed.audited(offset), OPERATOR_USER).writes),
        rss_mib=used.now_mib,
        peak_mib=used.peak_mib,
    )


def _confirm_recording(bed: Bed, wanted: int) -> None:
    """Ask the API server, not the operator, whether every buffer says that it records."""
    path = '{range .items[*]}{.status.conditions[?(@.type=="Recording")].status}{"\\n"}{end}'
    told = bed.plane.kubectl("-n", NAMESPACE, "get", "replaybuffers", "-o", f"jsonpath={path}").split()
    if told.count("True") != wanted:
        raise BenchError(
            f"{told.count('True')} of {wanted} buffers record: {len(told)} exist\n{bed.operator_log_tail()}"
        )


def _recording(bed: Bed) -> float:
    return metric(bed.metrics(), "replay_buffer_active_sessions")


def _reconciles(bed: Bed) -> float:
    return metric(bed.metrics(), "replay_operator_reconciles_total", kind=BUFFER_KIND, result="ok")


def _since(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in now.items() if n > before.get(name, 0)}

"""What users and tools read: conditions, kstatus, and no write without a change."""

from __future__ import annotations

import pytest

from replay_operator.api.meta import Condition, ConditionStatus, set_condition
from replay_operator.api.replaybuffer import StorageStatus
from replay_operator.cluster.status import status_patch
from replay_operator.domain.buffer_status import buffer_status
from replay_operator.domain.decision import Decision
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import (
    BUFFER_CONTRACT,
    CAPTURE_CONTRACT,
    RESTARTS,
    BufferState,
    CaptureState,
    KStatus,
    conditions_of,
    kstatus,
)
from tests.builders import BUFFER_UID, NOW, at, buffer, egress, run_coverage

STORAGE = StorageStatus(claim_name="replay-buffers", path=f"team/{BUFFER_UID}")
CURRENT, PROGRESS, FAILED = KStatus.CURRENT, KStatus.IN_PROGRESS, KStatus.FAILED

EXPECTED_KSTATUS = {
    BufferState.STARTING: PROGRESS,
    BufferState.WAITING_FOR_SOURCE: CURRENT,
    BufferState.WAITING_FOR_ADMISSION: PROGRESS,
    BufferState.WAITING_FOR_CAPACITY: PROGRESS,
    BufferState.WAITING_FOR_STORAGE: PROGRESS,
    BufferState.WAITING_FOR_LIVEKIT: PROGRESS,
    BufferState.RECORDING: CURRENT,
    BufferState.UNCERTAIN: CURRENT,
    **dict.fromkeys(RESTARTS, PROGRESS),
    BufferState.SOURCE_GONE: CURRENT,
    BufferState.ENDED: CURRENT,
    BufferState.TRACK_NOT_FOUND: FAILED,
    BufferState.SUSPENDED: CURRENT,
    BufferState.REFUSED: FAILED,
    CaptureState.WAITING_FOR_BUFFER: PROGRESS,
    CaptureState.WAITING_FOR_PIN: PROGRESS,
    CaptureState.WAITING_FOR_TAIL: PROGRESS,
    CaptureState.QUEUED: PROGRESS,
    CaptureState.CUTTING: PROGRESS,
    CaptureState.READY: CURRENT,
    CaptureState.FAILED: FAILED,
}


@pytest.mark.parametrize(("state", "contract"), [*BUFFER_CONTRACT.items(), *CAPTURE_CONTRACT.items()])
def test_kstatus_of_every_state(state: BufferState | CaptureState, contract: object) -> None:
    conditions = conditions_of((), contract, reason="R", message="m", generation=3, now=NOW)  # type: ignore[arg-type] # both tables hold Contracts
    assert kstatus(3, 3, conditions) is EXPECTED_KSTATUS[state]
    assert kstatus(4, 3, conditions) is PROGRESS


def test_every_state_has_a_row() -> None:
    assert set(BUFFER_CONTRACT) == set(BufferState)
    assert set(CAPTURE_CONTRACT) == set(CaptureState)


def condition(status: ConditionStatus, *, now: float, message: str = "m") -> tuple[Condition, ...]:
    old = set_condition((), "Ready", ConditionStatus.TRUE, reason="R", message="m", generation=1, now=NOW)
    return set_condition(old, "Ready", status, reason="R", message=message, generation=1, now=at(now))


def test_transition_time_moves_only_with_the_status() -> None:
    assert condition(ConditionStatus.TRUE, now=5, message="other")[0].last_transition_time == NOW
    assert condition(ConditionStatus.FALSE, now=5)[0].last_transition_time == at(5)


def recording(now: float, *, filled: float = 100) -> CoverageView:
    return CoverageView(runs={"r1": run_coverage(oldest=now - filled, newest=now - 7)}, known=True)


def test_an_unchanged_recording_buffer_causes_no_write() -> None:
    current = buffer(windowSeconds=600)
    decision = Decision(BufferState.RECORDING, "Segments arrive.", current=egress())
    first = buffer_status(
        current, decision, recording(0), run="r1", worker=None, segment_seconds=6, storage=STORAGE, now=NOW
    )
    written = current.model_copy(update={"status": first})
    later = buffer_status(
        written,
        decision,
        recording(40),
        run="r1",
        worker=None,
        segment_seconds=6,
        storage=STORAGE,
        now=at(40),
    )
    assert status_patch("10", first, later) is None


@pytest.mark.parametrize(("filled", "said"), [(20, None), (37.1, 30), (67.1, 60), (200, 120)])
def test_the_window_is_told_in_quarters(filled: float, said: int | None) -> None:
    status = buffer_status(
        buffer(windowSeconds=120),
        Decision(BufferState.RECORDING, "m", current=egress()),
        recording(0, filled=filled),
        run="r1",
        worker=None,
        segment_seconds=6,
        storage=STORAGE,
        now=NOW,
    )
    assert (status.window.seconds if status.window else None) == said


def test_the_end_of_a_window_is_told_once() -> None:
    gone = Decision(BufferState.SOURCE_GONE, "m")
    kwargs = {"run": None, "worker": None, "segment_seconds": 6, "storage": STORAGE, "now": NOW}
    first = buffer_status(buffer(), gone, recording(0, filled=50), **kwargs)  # type: ignore[arg-type] # real fields
    assert first.window is not None
    assert first.window.end == at(-7)
    trimmed = buffer_status(
        buffer().model_copy(update={"status": first}),
        gone,
        recording(0, filled=30),
        **kwargs,  # type: ignore[arg-type] # real fields
    )
    assert trimmed.window == first.window


def test_a_patch_removes_what_is_no_longer_true() -> None:
    current = buffer()
    decision = Decision(BufferState.RECORDING, "m", current=egress())
    first = buffer_status(
        current, decision, recording(0), run="r1", worker=None, segment_seconds=6, storage=STORAGE, now=NOW
    )
    gone = buffer_status(
        current.model_copy(update={"status": first}),
        Decision(BufferState.WAITING_FOR_SOURCE, "m"),
        CoverageView(),
        run=None,
        worker=None,
        segment_seconds=6,
        storage=STORAGE,
        now=at(1),
    )
    patch = status_patch("10", first, gone)
    assert patch is not None
    assert patch["status"]["egress"] is None
    assert patch["status"]["tracks"] is None
    assert patch["metadata"] == {"resourceVersion": "10"}
    assert "storage" not in patch["status"]

"""Why a run ended that nobody has stopped: LiveKit's record in words for the status."""

from __future__ import annotations

from dataclasses import dataclass

from replay_operator.domain.egress import Egress, EgressState
from replay_operator.domain.status_contract import BufferState

_AGAIN = "recording again."


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: a state of `status_contract.RESTARTS`, and a sentence that says what can be done."""

    state: BufferState
    message: str


SILENT = Ending(
    BufferState.RUN_SILENT,
    f"No segment arrived any more though LiveKit calls the egress active: {_AGAIN}",
)
LOST = Ending(BufferState.WORKER_LOST, f"The egress worker that held the recording is gone: {_AGAIN}")
UNTOLD = Ending(
    BufferState.EGRESS_ENDED,
    f"The egress has ended and LiveKit does not say why: {_AGAIN} See the log of the egress workers.",
)


def is_source_closed(record: Egress) -> bool:
    """Tell whether an egress ended because its tracks did: nothing has gone wrong.

    Args:
        record: LiveKit's final record of it.
    """
    return "Source closed" in record.details


def ending_of(record: Egress | None) -> Ending:
    """Say why a run ended.

    COMPLETE does not mean "as requested": `details` tells (livekit-measured §3).

    Args:
        record: LiveKit's last record of its egress; None: it has none.
    """
    if record is None:
        return UNTOLD
    # Details are there from ENDING on, an error only at the end: what is told must not change in between.
    said = record.details.removeprefix("End reason: ") or record.error or "no reason given"
    if "CPU exhausted" in record.details:
        return Ending(
            BufferState.CPU_EXHAUSTED,
            f"The egress worker ran out of CPU and ended the recording: {_AGAIN} "
            "If it happens often, give the workers more CPU or allow fewer recordings on each.",
        )
    if record.state is EgressState.FAILED or "Process killed" in record.details:
        return Ending(
            BufferState.EGRESS_FAILED,
            f"The egress failed ({said}): {_AGAIN} See the log of the egress workers.",
        )
    if record.state is EgressState.ABORTED:
        return Ending(
            BufferState.EGRESS_ABORTED, f"The egress was aborted before it recorded ({said}): {_AGAIN}"
        )
    if record.state is EgressState.LIMIT_REACHED:
        return Ending(
            BufferState.EGRESS_LIMIT_REACHED,
            f"The egress reached a limit of its worker ({said}): {_AGAIN} "
            "Remove `session_limits.segment_output_max_duration` from the workers' configuration.",
        )
    return Ending(BufferState.EGRESS_ENDED, f"LiveKit ended the egress ({said}): {_AGAIN}")

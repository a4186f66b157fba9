"""What each kind of fault has cost, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from replay_operator.domain.leadership import LeaseTimings
from tests.chaos.bounds import BOUND_SECONDS
from tests.chaos.plan import FaultKind


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault that came alone.

    Attributes:
        lost_seconds: Source time without a segment, of the buffer that lost most. This is what is bounded.
        picture_seconds: Source time without a picture, of the buffer that lost most.
        runs: Egresses that were started because of it.
        settled_seconds: From its end until the system was calm again.
    """

    kind: FaultKind
    lost_seconds: float
    picture_seconds: float
    runs: int
    settled_seconds: float


@dataclass(frozen=True, slots=True)
class FailOver:
    """One change of leader that nobody wished for.

    Attributes:
        what: What happened to the leader.
        seconds: From its last renewal to the moment at which the next one took the Lease.
        earliest_seconds: Before that, the one before might still lead.
    """

    what: str
    seconds: float
    earliest_seconds: float


def table(episodes: list[Episode]) -> list[str]:
    """Give the lines of the table.

    Args:
        episodes: In the order in which they are shown.
    """
    head = f"{'fault, alone':<30}{'lost s':>7}{'bound s':>8}{'no picture s':>13}{'new runs':>9}{'calm s':>7}"
    rows = [
        f"{e.kind:<30}{e.lost_seconds:>7.2f}{BOUND_SECONDS[e.kind]:>8.1f}{e.picture_seconds:>13.2f}"
        f"{e.runs:>9}{e.settled_seconds:>7.1f}"
        for e in episodes
    ]
    return [head, "-" * len(head), *rows]


def fail_over_table(fail_overs: list[FailOver]) -> list[str]:
    """Give the lines of the table of fail-overs, with the time that `LeaseTimings` states.

    Args:
        fail_overs: In the order in which they are shown.
    """
    latest = LeaseTimings().lease_seconds + LeaseTimings().retry_seconds
    head = f"{'leader lost, two replicas':<30}{'fail-over s':>12}{'stated s':>10}"
    rows = [
        f"{each.what:<30}{each.seconds:>12.1f}{f'{each.earliest_seconds:.0f} to {latest:.0f}':>10}"
        for each in fail_overs
    ]
    return [head, "-" * len(head), *rows]

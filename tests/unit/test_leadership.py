"""Who may lead, as a table: what a candidate and a leader do about each Lease that they can see."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from replay_operator.domain.leadership import (
    Decision,
    LeaseRecord,
    LeaseTimings,
    Observation,
    Renew,
    Take,
    Wait,
    decide,
    epoch_floor,
    observe,
    taken,
)

TIMINGS = LeaseTimings()
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FLOOR = epoch_floor(NOON)
THEIRS = LeaseRecord(version="7", holder="b", lease_seconds=12, transitions=3)
OURS = replace(THEIRS, holder="a")


@pytest.mark.parametrize(
    ("record", "epoch", "unchanged_seconds", "decision"),
    [
        pytest.param(LeaseRecord(), None, 0, Take(), id="there is no lease"),
        pytest.param(replace(THEIRS, holder=""), None, 0, Take(), id="it was given up"),
        pytest.param(THEIRS, None, 0, Wait(2.0), id="another leads: look again soon, it may give up"),
        pytest.param(THEIRS, None, 11.5, Wait(0.5), id="another leads: not later than it can run out"),
        pytest.param(THEIRS, None, 12.0, Take(), id="another has not renewed for the lease time"),
        pytest.param(
            replace(THEIRS, lease_seconds=30), None, 29.0, Wait(1.0), id="the holder was promised longer"
        ),
        pytest.param(
            replace(THEIRS, lease_seconds=1), None, 11.0, Wait(1.0), id="the holder says too little"
        ),
        pytest.param(OURS, 3, 0, Renew(), id="we lead by it"),
        pytest.param(OURS, 3, 100, Renew(), id="we lead by it, whatever its age"),
        pytest.param(OURS, None, 0, Take(), id="our earlier try, whose answer was lost"),
        pytest.param(OURS, 2, 0, Take(), id="ours, but not the epoch that we lead by"),
        pytest.param(THEIRS, 3, 0, Wait(2.0), id="we led, and another took it"),
    ],
)
def test_a_lease_is_taken_renewed_or_waited_for(
    record: LeaseRecord, epoch: int | None, unchanged_seconds: float, decision: Decision
) -> None:
    seen = Observation(record, unchanged_since=1000.0)
    now = 1000.0 + unchanged_seconds
    assert decide(seen, identity="a", epoch=epoch, timings=TIMINGS, now=now) == decision


def test_the_age_of_a_record_counts_from_the_first_look_that_saw_it() -> None:
    first = observe(None, THEIRS, 5.0)
    assert observe(first, THEIRS, 9.0).unchanged_since == 5.0
    assert observe(first, replace(THEIRS, version="8"), 9.0).unchanged_since == 9.0


def test_a_lease_that_is_deleted_while_somebody_leads_is_waited_for_like_one_that_is_there() -> None:
    gone = observe(observe(None, THEIRS, 5.0), None, 9.0)
    assert (gone.record, gone.unchanged_since) == (replace(THEIRS, version=""), 9.0)
    assert observe(gone, None, 12.0) == gone
    assert decide(gone, identity="a", epoch=None, timings=TIMINGS, now=20.5) == Wait(0.5)


@pytest.mark.parametrize(
    ("before", "after"), [(FLOOR - 1, FLOOR), (FLOOR, FLOOR + 1), (FLOOR + 9, FLOOR + 10)]
)
def test_an_epoch_is_higher_than_the_one_before_and_never_below_the_minutes_since_1970(
    before: int, after: int
) -> None:
    record = taken(
        replace(THEIRS, transitions=before), identity="a", lease_seconds=12, first_epoch=FLOOR, wall_now=NOON
    )
    assert (record.transitions, record.holder, record.version) == (after, "a", "7")


def test_an_epoch_fits_into_the_32_bits_of_lease_transitions() -> None:
    assert epoch_floor(datetime(6000, 1, 1, tzinfo=UTC)) < 2**31


@pytest.mark.parametrize(
    ("lease", "deadline", "request_", "retry"),
    [
        pytest.param(12, 12.0, 2.5, 2.0, id="the leader stops only when others may follow"),
        pytest.param(12, 8.0, 6.0, 2.0, id="no renewal fits into the deadline"),
        pytest.param(12, 8.0, 0.0, 2.0, id="no request is given any time"),
        pytest.param(12, 8.0, 2.5, 0.0, id="renewals without a pause"),
    ],
)
def test_times_that_would_let_two_lead_or_leave_no_time_to_renew_are_refused(
    lease: int, deadline: float, request_: float, retry: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        LeaseTimings(lease, deadline, request_, retry)

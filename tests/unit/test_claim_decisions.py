"""What is done about a claim, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.claims import (
    GROW_PAUSE,
    RETRY_REFUSED,
    ClaimDecision,
    ClaimPlan,
    ClaimState,
    ClaimView,
    Refusal,
    decide_claim,
    size_for,
)
from replay_operator.domain.quantity import GIB
from tests.builders import NOW

PLAN = ClaimPlan("replay-buffers", 20 * GIB, 200 * GIB, "ReadWriteMany", "REPLAY_BUFFER_CLAIM_MAX")
BOUND = ClaimView("Bound", 20 * GIB, 20 * GIB, access_modes=("ReadWriteMany",))
REFUSAL = Refusal(30 * GIB, NOW, "the class cannot")


def decided(claim: ClaimView | None, demand_gib: float, *, refusal: Refusal | None = None) -> ClaimDecision:
    return decide_claim(claim, PLAN, int(demand_gib * GIB), refusal, NOW)


def test_a_claim_that_is_not_there_is_made_with_its_least_size() -> None:
    assert decided(None, 0).make_bytes == 20 * GIB


def test_a_claim_that_is_made_while_buffers_wait_is_made_large_enough_for_them() -> None:
    assert decided(None, 45).make_bytes == 50 * GIB


def test_a_claim_that_may_not_be_made_is_tried_again_after_a_while_and_the_words_are_passed_on() -> None:
    refused = decided(None, 0, refusal=REFUSAL)
    assert (refused.state, refused.make_bytes) == (ClaimState.CREATION_REFUSED, None)
    assert "the class cannot" in refused.message
    later = decide_claim(None, PLAN, 0, REFUSAL, NOW + RETRY_REFUSED)
    assert later.make_bytes == 20 * GIB


@pytest.mark.parametrize(
    ("demand", "size"), [(20.1, 30), (29, 30), (30, 30), (30.1, 40), (199, 200), (500, 200)]
)
def test_a_bound_claim_grows_in_steps_up_to_its_maximum(demand: float, size: int) -> None:
    assert decided(BOUND, demand).grow_to_bytes == size * GIB


def test_a_large_claim_grows_by_a_tenth() -> None:
    plan = replace(PLAN, max_bytes=10_000 * GIB)
    assert size_for(1001 * GIB, plan, from_bytes=1000 * GIB) == 1100 * GIB


def test_what_is_large_enough_is_left_alone_and_so_is_what_is_too_large() -> None:
    assert decided(BOUND, 20) == ClaimDecision(ClaimState.BOUND, "")
    large = replace(BOUND, requested_bytes=500 * GIB, capacity_bytes=500 * GIB)
    assert decided(large, 1) == ClaimDecision(ClaimState.BOUND, "")


def test_a_claim_without_a_volume_cannot_be_resized_and_is_not() -> None:
    pending = replace(BOUND, phase="Pending", capacity_bytes=0)
    assert (decided(pending, 100).state, decided(pending, 100).grow_to_bytes) == (ClaimState.PENDING, None)


@pytest.mark.parametrize(
    ("claim", "state"),
    [
        (replace(BOUND, conditions={"Resizing": ""}), ClaimState.RESIZING),
        (replace(BOUND, requested_bytes=30 * GIB), ClaimState.RESIZING),
        (
            replace(BOUND, conditions={"FileSystemResizePending": "", "Resizing": ""}),
            ClaimState.FILE_SYSTEM_RESIZE_PENDING,
        ),
        (replace(BOUND, conditions={"ControllerResizeError": "no room"}), ClaimState.RESIZE_FAILED),
        (replace(BOUND, conditions={"NodeResizeError": "no room"}), ClaimState.RESIZE_FAILED),
    ],
)
def test_while_a_growth_is_under_way_no_other_is_asked_for(claim: ClaimView, state: ClaimState) -> None:
    assert (decided(claim, 100).state, decided(claim, 100).grow_to_bytes) == (state, None)


@pytest.mark.parametrize(
    ("claim", "state"),
    [
        (replace(BOUND, phase="Lost"), ClaimState.LOST),
        (replace(BOUND, terminating=True), ClaimState.TERMINATING),
        (replace(BOUND, volume_mode="Block"), ClaimState.UNSUITABLE),
        (replace(BOUND, access_modes=("ReadWriteOncePod",)), ClaimState.UNSUITABLE),
        (replace(BOUND, access_modes=("ReadWriteOnce",)), ClaimState.UNSUITABLE),
    ],
)
def test_a_claim_that_cannot_be_used_is_named_as_such_and_left_alone(
    claim: ClaimView, state: ClaimState
) -> None:
    found = decided(claim, 100)
    assert (found.state, found.grow_to_bytes) == (state, None)
    assert "replay-buffers" in found.message


def test_a_volume_for_many_nodes_does_for_an_install_on_one() -> None:
    plan = replace(PLAN, access_mode="ReadWriteOnce")
    assert decide_claim(BOUND, plan, 0, None, NOW).state is ClaimState.BOUND


def test_a_claim_of_somebody_else_is_used_and_never_resized() -> None:
    theirs = replace(BOUND, declared_by="argocd")
    assert decided(theirs, 20) == ClaimDecision(ClaimState.BOUND, "")
    small = decided(theirs, 45)
    assert (small.state, small.grow_to_bytes) == (ClaimState.TOO_SMALL, None)
    assert "argocd declares its size" in small.message
    assert "45.0 GiB are needed" in small.message


def test_a_demand_above_the_maximum_is_said_once_the_claim_is_as_large_as_it_may_be() -> None:
    largest = replace(BOUND, requested_bytes=200 * GIB, capacity_bytes=200 * GIB)
    found = decided(largest, 201)
    assert (found.state, found.grow_to_bytes) == (ClaimState.AT_MAXIMUM, None)
    assert "REPLAY_BUFFER_CLAIM_MAX" in found.message


def test_a_growth_that_was_refused_is_asked_for_again_after_a_while_only() -> None:
    refused = decided(BOUND, 25, refusal=REFUSAL)
    assert (refused.state, refused.grow_to_bytes) == (ClaimState.GROWTH_REFUSED, None)
    assert "30Gi was refused: the class cannot" in refused.message
    assert decide_claim(BOUND, PLAN, 25 * GIB, REFUSAL, NOW + RETRY_REFUSED).grow_to_bytes == 30 * GIB


def test_a_refusal_is_forgotten_when_the_demand_goes() -> None:
    assert decided(BOUND, 5, refusal=REFUSAL).state is ClaimState.BOUND


def test_two_growths_have_some_minutes_between_them_whoever_leads() -> None:
    grown = replace(BOUND, grown_at=NOW - GROW_PAUSE / 2)
    assert decided(grown, 100).grow_to_bytes is None
    assert decided(replace(BOUND, grown_at=NOW - GROW_PAUSE), 100).grow_to_bytes == 100 * GIB


def test_a_time_of_growth_that_lies_in_the_future_holds_nothing_up() -> None:
    assert decided(replace(BOUND, grown_at=NOW + GROW_PAUSE), 100).grow_to_bytes == 100 * GIB


def test_an_archive_grows_when_its_size_is_set_higher_and_not_by_itself() -> None:
    plan = ClaimPlan("replay-archive", 25 * GIB, 25 * GIB, "ReadWriteMany", "REPLAY_ARCHIVE_CLAIM_SIZE")
    assert decide_claim(BOUND, plan, 0, None, NOW).grow_to_bytes == 25 * GIB
    there = replace(BOUND, requested_bytes=25 * GIB, capacity_bytes=25 * GIB)
    assert decide_claim(there, plan, 0, None, NOW).state is ClaimState.BOUND


@given(st.integers(0, 300), st.integers(1, 300), st.integers(0, 400))
def test_a_claim_never_shrinks_and_is_grown_to_carry_the_demand_or_to_the_maximum(
    has_gib: int, least_gib: int, demand_gib: int
) -> None:
    plan = replace(PLAN, min_bytes=least_gib * GIB, max_bytes=max(least_gib, 200) * GIB)
    size = size_for(demand_gib * GIB, plan, from_bytes=has_gib * GIB)
    assert size >= max(has_gib, least_gib) * GIB
    assert size >= min(demand_gib * GIB, plan.max_bytes)
    assert size <= max(plan.max_bytes, has_gib * GIB)

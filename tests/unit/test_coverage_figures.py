"""What the coverage of all buffers says about them as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.coverage_figures import (
    NOTHING_TO_RECORD,
    SHOULD_RECORD,
    Newest,
    hole_seconds,
    percentiles,
    worst_shift_seconds,
)
from tests.builders import at, run_coverage


def test_without_buffers_no_age_is_told() -> None:
    assert set(percentiles([]).values()) == {0.0}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_ages_that_there_are_and_the_last_is_the_worst(ages: list[float]) -> None:
    found = percentiles(ages)
    assert found["100"] == max(ages)
    assert set(found.values()) <= set(ages)
    assert sum(age <= found["50"] for age in ages) * 2 >= len(ages)
    assert sorted(found.values()) == [found[name] for name in ("50", "90", "99", "100")]


@pytest.mark.parametrize(("age", "stale"), [(20.7, False), (34.9, False), (35.1, True)])
def test_a_buffer_is_stale_when_a_run_that_fell_silent_was_not_replaced_at_once(
    age: float, stale: bool
) -> None:
    assert Newest(age, segment_seconds=10).is_stale is stale


def test_a_run_that_has_ended_drifts_no_more() -> None:
    drifted = run_coverage("old", ended=True).model_copy(update={"clock_shift_milliseconds": 9000})
    assert worst_shift_seconds([drifted, run_coverage("new")]) == 0


def test_the_first_run_of_a_buffer_closes_no_hole() -> None:
    assert hole_seconds(None, (), {"r1": run_coverage("r1")}) == 0


def test_what_the_run_before_grew_in_the_same_word_is_no_hole() -> None:
    grown = run_coverage("r1", oldest=-60, newest=-2)
    new = run_coverage("r2", oldest=-1, newest=5)
    assert hole_seconds(at(-7), {"r1"}, {"r1": grown, "r2": new}) == 1


def test_no_state_both_should_record_and_has_nothing_to_record() -> None:
    assert SHOULD_RECORD.isdisjoint(NOTHING_TO_RECORD)

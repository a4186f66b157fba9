"""From measured writes to the budget of a volume."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.write_budget import Spread, WriteBudget, WriteStep, write_budget

RATE = 750_000.0


def step(writers: int, mbps: float, worst_seconds: float = 1.0, given_up: int = 0) -> WriteStep:
    spread = Spread(worst_seconds / 2, worst_seconds)
    return WriteStep(writers, 10 * writers, mbps * 1e6, spread, spread, given_up)


def budget(*steps: WriteStep) -> WriteBudget | None:
    return write_budget(steps, segment_seconds=10, bytes_per_second=RATE)


def test_seven_tenths_of_the_best_step_are_suggested_in_whole_megabytes() -> None:
    found = budget(step(1, 50), step(4, 101), step(16, 90))
    assert found == WriteBudget(16, 101e6, 70, 93)


def test_a_step_with_one_late_segment_does_not_count() -> None:
    found = budget(step(1, 50), step(4, 200, worst_seconds=5.001))
    assert found is not None
    assert (found.writers, found.measured_bytes_per_second) == (1, 50e6)


def test_a_step_in_which_a_writer_gave_up_does_not_count() -> None:
    found = budget(step(1, 50), step(4, 200, given_up=1))
    assert found is not None
    assert found.writers == 1


def test_a_lucky_step_after_a_late_one_does_not_count() -> None:
    found = budget(step(16, 300), step(1, 50), step(4, 100, worst_seconds=6))
    assert found is not None
    assert found.writers == 1


def test_a_volume_on_which_one_writer_is_late_has_no_budget() -> None:
    assert budget(step(1, 50, worst_seconds=6)) is None
    assert budget() is None


def test_a_volume_too_slow_for_one_buffer_has_no_budget() -> None:
    assert budget(step(1, 1.4)) is None


@given(
    st.lists(
        st.builds(
            step,
            writers=st.integers(1, 64),
            mbps=st.floats(0.1, 5000),
            worst_seconds=st.floats(0.001, 20),
            given_up=st.integers(0, 2),
        ),
        max_size=6,
    )
)
def test_no_more_is_suggested_than_was_measured_in_time(steps: list[WriteStep]) -> None:
    found = budget(*steps)
    in_time = [each.bytes_per_second for each in steps if each.keeps(5)]
    if found is not None:
        assert found.buffers * RATE <= found.suggested_mbps * 1e6 <= 0.7 * max(in_time)

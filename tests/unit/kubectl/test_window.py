from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.kubectl.window import Stretch, holes_between, pinned, window_of
from tests.unit.kubectl.objects import at, buffer, capture, coverage, pinned_range, run


def test_what_no_run_has_is_a_hole() -> None:
    window = window_of(coverage(run("b", -200, -4), run("a", -600, -300, ended=True)))
    assert window is not None
    assert window.holes == (Stretch(at(-300), at(-200)),)
    assert window.length == timedelta(seconds=596)
    assert window.recorded == timedelta(seconds=496)


def test_runs_that_overlap_or_meet_leave_no_hole() -> None:
    runs = (run("a", -600, -300), run("b", -310, -200), run("c", -199.95, -4), run("d", -150, -100))
    assert holes_between(runs) == ()


def test_a_buffer_without_a_run_has_no_window() -> None:
    assert window_of(coverage()) is None
    assert window_of(None) is None


SPANS = st.lists(st.tuples(st.integers(-600, -10), st.integers(4, 200)), min_size=1, max_size=6)


@given(SPANS)
def test_what_is_recorded_and_the_holes_are_the_whole_window(spans: list[tuple[int, int]]) -> None:
    window = window_of(coverage(*(run(str(i), s, s + n) for i, (s, n) in enumerate(spans))))
    assert window is not None
    seconds = {second for start, length in spans for second in range(start, start + length)}
    assert window.recorded == timedelta(seconds=len(seconds))


def test_only_captures_that_are_not_finished_pin_their_range() -> None:
    captures = [
        capture("waits", **pinned_range(-60, 10)),
        capture("done", reason="ClipReady", **pinned_range(-90, -30)),
        capture("failed", reason="NoMedia", **pinned_range(-90, -30)),
        capture("unresolved"),
        capture("elsewhere", source={"bufferUid": "other", "path": "replay/other"}),
    ]
    assert pinned(buffer(), captures) == (Stretch(at(-60), at(10), "waits"),)

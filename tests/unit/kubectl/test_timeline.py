from hypothesis import given
from hypothesis import strategies as st

from replay_operator.kubectl.timeline import ASCII, BLOCKS, LABEL_WIDTH, ink_for, picture
from replay_operator.kubectl.window import Stretch
from tests.unit.kubectl.objects import at

AXIS = Stretch(at(-600), at(0), "now")
WIDTH = LABEL_WIDTH + 60  # ten seconds a column


def drawn(*recorded: Stretch, pins: tuple[Stretch, ...] = ()) -> list[str]:
    return picture(AXIS, recorded, pins, width=WIDTH, ink=ASCII)


def test_a_window_with_a_hole_and_a_pin_looks_like_that() -> None:
    lines = drawn(
        Stretch(at(-600), at(-305)), Stretch(at(-280), at(-10)), pins=(Stretch(at(-100), at(-40), "goal"),)
    )
    assert lines == [
        "recorded  #############################+..###########################.",
        "          |-10m                         -5m                       now|",
        "pinned    ..................................................======.... goal",
    ]


def test_runs_that_meet_inside_a_column_leave_it_whole() -> None:
    (line, _) = drawn(Stretch(at(-600), at(-303)), Stretch(at(-304), at(0)))
    assert line == "recorded  " + "#" * 60


def test_a_pin_that_is_shorter_than_a_column_is_seen() -> None:
    *_, line = drawn(pins=(Stretch(at(-7), at(-5), "brief"),))
    assert line.endswith("= brief")
    assert line.count("=") == 1


def test_nothing_recorded_is_a_row_of_nothing() -> None:
    assert drawn()[0] == "recorded  " + "." * 60


@given(st.integers(-700, 50), st.integers(1, 700), st.integers(20, 200))
def test_a_line_is_as_wide_as_asked_and_its_marks_in_proportion(start: int, length: int, width: int) -> None:
    stretch = Stretch(at(start), at(start + length))
    line = picture(AXIS, [stretch], [], width=width, ink=ASCII)[0][LABEL_WIDTH:]
    assert len(line) == max(20, width - LABEL_WIDTH)
    inside = max(0, min(0, start + length) - max(-600, start))
    assert abs((line.count("#") + line.count("+")) * 600 / len(line) - inside) <= 2 * 600 / len(line)
    assert line.count("+") <= 2


def test_a_terminal_that_has_no_block_characters_gets_ascii() -> None:
    assert ink_for("utf-8") == BLOCKS
    assert ink_for("latin-1") == ink_for(None) == ink_for("no such thing") == ASCII

from replay_operator.kubectl.describe import Paper, description
from replay_operator.kubectl.timeline import ASCII
from replay_operator.kubectl.window import window_of
from tests.unit.kubectl.objects import NOW, buffer, capture, coverage, pinned_range, run

PAPER = Paper(width=70, ink=ASCII)


def test_a_description_tells_window_holes_pins_and_runs() -> None:
    window = window_of(coverage(run("r1", -600, -300, ended=True), run("r2", -200, -5)))
    text = description(buffer(), window, [capture(**pinned_range(-60, 0))], paper=PAPER, now=NOW)
    lines = text.splitlines()
    assert "Window:       9m55s of 10m, 8m15s recorded" in lines
    assert any(line.startswith("To:") and line.endswith("5s ago") for line in lines)
    assert any(line.startswith("recorded  #") and line.endswith("+") for line in lines)
    assert any(line.startswith("pinned") and line.endswith("====== goal") for line in lines)
    assert "1m40s" in text.partition("Holes:")[2].partition("Pins:")[0]
    assert "goal" in text.partition("Pins:")[2]
    assert [line.split()[0] for line in text.partition("Runs:")[2].splitlines()[2:]] == ["r1", "r2"]


def test_without_the_agent_the_picture_is_that_of_the_status() -> None:
    text = description(buffer(window={"seconds": 300}), None, [], paper=PAPER, now=NOW)
    assert "Window:       5m of 10m, by the status" in text
    assert "recorded  " + "." * 30 + "#" * 30 in text
    assert "Holes:" not in text
    assert "Runs:" not in text


def test_the_window_of_a_source_that_has_gone_ends_where_it_ended() -> None:
    gone = buffer(recording="False", reason="SourceGone")
    window = window_of(coverage(run("r1", -700, -100, ended=True)))
    text = description(gone, window, [], paper=PAPER, now=NOW)
    assert "recorded  " + "#" * 60 in text
    assert "end|" in text


def test_a_buffer_that_nobody_has_looked_at_has_no_picture() -> None:
    text = description(buffer(conditions=[]), None, [], paper=PAPER, now=NOW)
    assert "State:        nothing was said yet" in text
    assert "recorded" not in text

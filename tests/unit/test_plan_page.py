"""docs/capacity.md says what `replay-operator plan` reckons."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

from replay_operator.cli.program import run

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text()
USERS = ("5", "20", "50", "100")


def columns(first: str) -> dict[str, list[str]]:
    """The table of the page whose heading begins so, by its columns."""
    lines = PAGE.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {first}"))
    table = takewhile(lambda line: line.startswith("|"), lines[begin:])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    return {cells[0]: list(cells[2:]) for cells in zip(*rows, strict=True)}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    assert run(["plan", "--users", ",".join(USERS), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = {}
    for line in lines:
        name, *cells = re.split(r" {2,}", line)
        found[name] = cells
    found["head"] = [lines[1]]
    return found


def test_the_published_table_of_the_page_is_what_the_published_assumptions_give(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = columns("users | pods")
    plan = printed(capsys, "--assume", "published")
    assert page["users"] == list(USERS)
    assert page["pods"] == plan["pods"]
    assert page["CPU"] == plan["CPU requested"]
    assert page["RAM, GB"] == plan["RAM requested, GB"]
    assert page["temp, GB"] == plan["buffer volume (temp), GB"]
    assert page["writes, MB/s"] == plan["writes, MB/s"]


@pytest.mark.parametrize("column", ["H264_720P_30", "H264_1080P_30", "H264_1080P_60, extrapolated"])
def test_the_measured_table_of_the_page_is_what_the_plan_gives(
    column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = column.removesuffix(", extrapolated")
    assert columns("users | H264")[column] == printed(capsys, "--preset", preset)["pods"]


def test_what_one_recording_costs_is_on_the_page_as_the_plan_reckons_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = columns("preset")
    for number, preset in enumerate(page["preset"]):
        (head,) = printed(capsys, "--preset", preset)["head"]
        cores, memory, rate, window = (list(cells)[number] for cells in list(page.values())[1:5])
        assert head == (
            f"one recording: {cores} cores, {memory} GB of RAM, {rate} MB/s, {window} MB on the buffer volume"
        )

from __future__ import annotations

import sys

import pytest

from replay_operator.kubectl.waiting import Progress
from tests.unit.kubectl.objects import NOW, at, capture


def show(progress: Progress) -> None:
    """A capture comes nearer, and on."""
    for reason, seconds in (("WaitingForTail", 9), ("WaitingForTail", 5), ("Cutting", 1), ("Cutting", -1)):
        progress.show(capture(reason=reason, expectedReadyTime=at(seconds).isoformat()), NOW)
    progress.clear()


def test_in_a_log_each_state_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    show(Progress())
    assert capsys.readouterr().err == "WaitingForTail, ready in 9s\nCutting, ready in 1s\n"


def test_on_a_terminal_one_line_counts_down_and_is_gone_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show(Progress())
    shown = capsys.readouterr().err.split("\r\033[K")
    assert shown == [
        "",
        "WaitingForTail, ready in 9s",
        "WaitingForTail, ready in 5s",
        "Cutting, ready in 1s",
        "Cutting, was expected 1s ago",
        "",
    ]

"""tail: Flush: the newest instants are on disk at once, however long the segments are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.flow.conftest import BufferFactory, capture_object
from tests.flow.test_record_and_save import (
    FRAME,
    REORDERING,
    shown_numbers,
    shown_wall_clock,
    wait_for_window,
)
from tests.stack.stack import Stack


def runs_of(stack: Stack, buffer: str) -> list[str]:
    path = (stack.get("rb", buffer) or {})["status"]["storage"]["path"]
    return [run.run for b in stack.coverage().buffers if b.path == path for run in b.runs]


def became_true_at(capture: dict[str, Any], condition: str) -> datetime:
    found = next(c for c in capture["status"]["conditions"] if c["type"] == condition)
    return datetime.fromisoformat(found["lastTransitionTime"])


@pytest.mark.parametrize("segment_seconds", [4, 10])
def test_a_flushed_moment_is_whole_up_to_the_click_and_two_captures_share_one_flush(
    stack: Stack, new_buffer: BufferFactory, segment_seconds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = new_buffer(segmentSeconds=segment_seconds)
    stack.wait_for_condition("rb", buffer, "Recording", seconds=90)
    wait_for_window(stack, buffer, segment_seconds - 0.5)
    click = datetime.now(UTC)
    moment = {"last": {"seconds": 5, "until": click.isoformat()}}
    names = [f"flushed-{segment_seconds}-{n}" for n in range(2)]
    stack.apply(*(capture_object(name, buffer, range=moment, tail="Flush") for name in names))
    captures = [stack.wait_for_condition("rcap", name, "Ready", seconds=90) for name in names]

    for capture in captures:
        clip = stack.archive() / capture["status"]["clip"]["path"]
        numbers = shown_numbers(clip)
        assert [b - a for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)
        last = shown_wall_clock(clip)[-1] / 1000
        assert -FRAME - 0.05 <= last - click.timestamp() <= REORDERING + 0.05, "the click is in it"
        assert capture["status"]["clip"]["holes"] == []
    stack.wait_for("the next run's first segment", lambda: len(runs_of(stack, buffer)) == 2, seconds=60)
    with capsys.disabled():
        ready = min(became_true_at(capture, "Ready") for capture in captures)
        took = (ready - click).total_seconds()
        print(f"\nsegmentSeconds {segment_seconds}: ready {took:.1f} s after the click")


def test_a_wish_for_a_flush_is_no_wish_when_everything_is_on_disk(
    stack: Stack, new_buffer: BufferFactory
) -> None:
    buffer = new_buffer()
    stack.wait_for_condition("rb", buffer, "Recording", seconds=60)
    wait_for_window(stack, buffer, 8)
    before = datetime.now(UTC) - timedelta(seconds=6)
    moment = {"last": {"seconds": 2, "until": before.isoformat()}}
    stack.apply(capture_object("old-moment", buffer, range=moment, tail="Flush"))
    stack.wait_for_condition("rcap", "old-moment", "Ready", seconds=60)
    assert len(runs_of(stack, buffer)) == 1

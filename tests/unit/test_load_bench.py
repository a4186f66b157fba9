"""The pure parts of the load bench: when segments are due, what must be kept, and how it is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.load.captures import wanted
from benchmarks.load.figures import ERRORS, INSIDE, RETENTION_SECONDS, Line, Stretch, lines, table
from benchmarks.load.journal import Journal, Measure
from benchmarks.load.pacing import (
    SEGMENT_SECONDS,
    WINDOW_SECONDS,
    Recorded,
    bytes_on_disk,
    bytes_per_second,
    chosen_share,
    recordings,
)
from benchmarks.load.stand_in_operator import unknown_seconds
from benchmarks.load.writer import Task, task_of
from replay_operator.api.agent import RunCoverage
from replay_operator.api.replaycapture import Clock
from replay_operator.domain.write_budget import WriteBudget

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_000_000 * SECOND_NS
BASELINE, LOAD = 1000.0, 2000.0


def layout(*, share: float = 0.5, buffers: int = 100) -> list[Recorded]:
    return recordings(buffers, share=share, begun_at_ns=BEGIN_NS, captured=4, captured_seconds=180)


def stretch(begin_seconds: float, **changes: float) -> Stretch:
    return Stretch(
        begin_seconds=begin_seconds,
        end_seconds=begin_seconds + 100,
        counted=changes,
        cpu_seconds=30,
        rss_mib=60,
        disk_bytes=None,
        load_average=1.0,
    )


def kept() -> Journal:
    journal = Journal()
    for begin in (BASELINE, LOAD):
        at = begin + 50
        journal.note(Measure.WRITTEN, at, 100e6)
        for measure in (
            Measure.WRITE_LATE,
            Measure.WORD_AGE,
            Measure.UNKNOWN,
            Measure.WORD_TOOK,
            Measure.POLICY_TOOK,
            Measure.READINESS_TOOK,
            Measure.OVERDUE,
            Measure.STORED,
            Measure.AWAITED,
        ):
            journal.note(measure, at, 0.5)
    return journal


def figures(journal: Journal, **changes: float) -> list[Line]:
    return lines(journal, stretch(BASELINE), stretch(LOAD, **changes), asked_bytes_per_second=1e6)


def missed(found: list[Line]) -> list[str]:
    return [line.name for line in found if line.is_missed]


def test_segments_of_all_buffers_come_evenly_spread_and_large_ones_among_small_ones() -> None:
    due = sorted((buffer.due_ns(0), buffer.is_large) for buffer in layout()[4:])
    assert due[0][0] >= BEGIN_NS
    assert due[-1][0] < BEGIN_NS + SEGMENT_SECONDS * SECOND_NS
    for half in (due[: len(due) // 2], due[len(due) // 2 :]):
        assert sum(is_large for _, is_large in half) == pytest.approx(len(half) / 2, abs=2)


def test_a_captured_buffer_has_a_history_that_fills_its_longer_window() -> None:
    buffer = layout()[0]
    assert buffer.is_large
    assert buffer.window_seconds == 180
    assert BEGIN_NS - buffer.due_ns(0) == 180 * SECOND_NS


def test_a_segment_is_due_one_segment_and_a_little_after_its_end() -> None:
    buffer = layout()[5]
    assert buffer.due_ns(3) - buffer.media_end_ns(3) == (SEGMENT_SECONDS + 0.65) * SECOND_NS
    assert buffer.next_index(buffer.due_ns(3)) == 4
    assert buffer.next_index(buffer.due_ns(3) - 1) == 3
    assert buffer.next_index(0) == 0


def test_rate_and_room_follow_from_the_large_ones() -> None:
    buffers = layout(share=1)
    assert bytes_per_second(buffers, large_bytes=7_500_000, small_bytes=1) == 100 * 750_000
    room = bytes_on_disk(buffers[4:], large_bytes=7_500_000, small_bytes=1)
    assert room == pytest.approx(96 * 750_000 * WINDOW_SECONDS, rel=0.1)


@pytest.mark.parametrize(
    ("suggested_mbps", "room_gb", "share"), [(1000, 100, 1.0), (200, 100, 0.35), (1000, 6, 0.48)]
)
def test_the_share_is_what_rate_and_room_allow(suggested_mbps: int, room_gb: int, share: float) -> None:
    budget = WriteBudget(4, 1e9, suggested_mbps, 100)
    found = chosen_share(budget, buffers=500, large_bytes=8_000_000, room_bytes=room_gb * 1e9)
    assert found == pytest.approx(share, abs=0.01)


def test_a_task_comes_to_the_workers_as_it_was() -> None:
    task = Task(Path("/volume"), [Path("/a.ts")], [Path("/b.ts")], 5, layout(buffers=6))
    assert task_of(task.to_json()) == task


def test_a_stored_capture_ends_in_the_newest_segment_and_an_awaited_one_in_one_that_is_still_to_come() -> (
    None
):
    buffer = layout()[0]
    now_ns = buffer.due_ns(20) + 3 * SECOND_NS
    assert wanted("a", buffer, now_ns, is_awaited=False).last_index == 20
    # The next one is due in seven seconds, which is enough; in four, it is the one after it.
    assert wanted("a", buffer, now_ns, is_awaited=True).last_index == 21
    assert wanted("a", buffer, now_ns + 3 * SECOND_NS, is_awaited=True).last_index == 22


def test_a_segment_counts_as_unknown_only_from_its_arrival_to_a_word_that_did_not_name_it() -> None:
    def run(last_index: int, arrived_seconds: float) -> RunCoverage:
        arrived_at = datetime.fromtimestamp(arrived_seconds, UTC)
        times = {"oldest": arrived_at, "newest": arrived_at, "arrived_at": arrived_at}
        return RunCoverage(
            run="r",
            segments=1,
            first_index=0,
            last_index=last_index,
            ended=False,
            clock=Clock.STARTED_AT,
            **times,
        )

    told = {
        "new segment": run(5, 97.5),
        "came after the look": run(5, 100.5),
        "only lost its oldest": run(4, 92),
        "first told of": run(9, 50),
    }
    known = dict.fromkeys(["new segment", "came after the look", "only lost its oldest"], 4)
    assert unknown_seconds(told, known, looked_at=100.0) == [2.5, 0.0]


def test_a_run_that_keeps_everything_misses_nothing() -> None:
    assert missed(figures(kept())) == []


@pytest.mark.parametrize(
    ("measure", "value", "name"),
    [
        (Measure.WRITE_LATE, 5.1, "a segment was written late, worst, s"),
        (Measure.WORD_AGE, 3.1, "agent: its word is old, worst, s"),
        (Measure.UNKNOWN, 3.1, "agent: a segment is not known for, worst, s"),
        (Measure.WORD_TOOK, 5.1, "agent: coverage answered in, worst, s"),
        (Measure.POLICY_TOOK, 5.1, "agent: policy (a pin) answered in, worst, s"),
        (Measure.READINESS_TOOK, 1.1, "agent: readiness answered in, worst, s"),
        (Measure.OVERDUE, RETENTION_SECONDS + 0.1, "agent: a segment lies overdue, worst, s"),
        (Measure.NOT_READY, 1, "agent: not ready, looks"),
        (Measure.UNANSWERED, 1, "agent: requests failed"),
        (Measure.NO_CLIP, 1, "captures that failed, or lack something"),
    ],
)
def test_one_bad_moment_under_load_misses_a_bar_and_one_before_does_not(
    measure: Measure, value: float, name: str
) -> None:
    before = kept()
    before.note(measure, BASELINE + 60, value)
    assert missed(figures(before)) == []
    under_load = kept()
    under_load.note(measure, LOAD + 60, value)
    assert missed(figures(under_load)) == [name]


def test_what_nobody_measured_is_missed() -> None:
    found = missed(figures(Journal()))
    assert "agent: a segment lies overdue, worst, s" in found
    assert "written by the workers, MB/s" in found
    assert {"captures: stored, number", "captures: awaited, number"} <= set(found)


@pytest.mark.parametrize("key", [INSIDE, ERRORS])
def test_what_the_agent_counts_must_not_grow(key: str) -> None:
    assert len(missed(figures(kept(), **{key: 1}))) == 1


def test_captures_may_become_a_fifth_slower() -> None:
    slower = kept()
    slower.note_all(Measure.STORED, LOAD + 60, [0.61] * 3)
    assert missed(figures(slower)) == [
        "captures: stored, p50, s (ratio 1.22)",
        "captures: stored, p95, s (ratio 1.22)",
    ]
    slow_tail = kept()
    slow_tail.note_all(Measure.AWAITED, LOAD + 60, [0.5, 0.5, 0.7])
    assert missed(figures(slow_tail)) == ["captures: awaited, p95, s (ratio 1.40)"]


def test_less_throughput_than_asked_is_no_load() -> None:
    found = lines(kept(), stretch(BASELINE), stretch(LOAD), asked_bytes_per_second=1.1e6)
    assert missed(found) == ["written by the workers, MB/s"]
    assert [line.is_condition for line in found if line.is_missed] == [True]


def test_the_table_marks_what_misses_its_bar() -> None:
    shown = table([Line("a", 1.0, 2.0, "at most 1", is_missed=True), Line("b", None, 3.0, digits=0)])
    assert shown.splitlines()[2:] == ["| a | 1.00 | 2.00 | at most 1 | MISSED |", "| b |  | 3 |  |  |"]

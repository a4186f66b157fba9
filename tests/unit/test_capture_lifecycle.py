"""What the operator does for a capture, by what it sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from replay_operator.api.agent import RunCoverage
from replay_operator.api.capture_job import CaptureError, CaptureErrorReason, CaptureResult
from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.api.replaycapture import Clip, Clock, NotificationState, ReplayCapture
from replay_operator.domain.capture_observation import CaptureObservation, JobOutcome
from replay_operator.domain.capture_schedule import await_until
from replay_operator.domain.capture_state import is_finished, wants_coverage
from replay_operator.domain.capture_timing import (
    ARRIVAL_SLACK,
    FRAME_TOLERANCE,
    cutting_time,
    resolve_range,
    tail_due,
    tail_expected,
    tail_limit,
)
from replay_operator.domain.captures import (
    MAX_ATTEMPTS,
    decide_capture,
    job_name,
)
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import (
    BUFFER_CONTRACT,
    BufferState,
    CaptureState,
    conditions_of,
)
from tests.builders import CAPTURE_UID, NOW, at, buffer, capture, rfc3339, run_coverage

SEEN = CaptureObservation(
    buffer=buffer(),
    coverage=CoverageView(known=True),
    segment_seconds=6,
    buffer_recording=True,
    pinned=False,
)


def clip() -> Clip:
    return Clip(
        path="team/shared/2026-11-23/goal-cafecafe.mp4",
        bytes=1000,
        milliseconds=60000,
        start=at(-60),
        end=NOW,
        segments=10,
        runs=1,
        clock=Clock.STARTED_AT,
    )


def decided(
    current: ReplayCapture, now: datetime = NOW, **parts: object
) -> tuple[ReplayCapture, CaptureState, int | None]:
    decision = decide_capture(current, replace(SEEN, **parts), now)  # type: ignore[arg-type] # real fields
    return current.model_copy(update={"status": decision.status}), decision.state, decision.create_job


def test_last_is_counted_from_the_click() -> None:
    click = at(0.345)
    asked = capture(range={"last": {"seconds": 60, "until": rfc3339(click), "postRollSeconds": 15}})
    found = resolve_range(asked)
    assert (found.start, found.end) == (click - timedelta(seconds=60), click + timedelta(seconds=15))


def test_without_a_click_time_creation_is_rounded_up() -> None:
    found = resolve_range(capture())
    assert found.end == at(1)
    assert found.start == at(-59)


def test_the_range_is_resolved_once_and_never_changes() -> None:
    first, state, job = decided(capture())
    assert state is CaptureState.WAITING_FOR_PIN
    assert job is None
    assert first.status.source is not None
    assert first.status.expected_ready_time is not None
    again, _, _ = decided(first, at(100))
    assert again.status.range == first.status.range


def test_no_job_is_made_before_the_agent_holds_the_range() -> None:
    first, _, _ = decided(capture())
    covered = CoverageView(runs={"r1": run_coverage(newest=2)}, known=True)
    _, state, job = decided(first, at(3), coverage=covered)
    assert (state, job) == (CaptureState.WAITING_FOR_PIN, None)
    _, state, job = decided(first, at(3), coverage=covered, pinned=True)
    assert (state, job) == (CaptureState.CUTTING, 1)


def test_it_waits_for_the_segment_with_the_last_instant_but_not_for_ever() -> None:
    first, _, _ = decided(capture())
    short = CoverageView(runs={"r1": run_coverage(newest=-3)}, known=True)
    _, state, job = decided(first, at(5), coverage=short, pinned=True)
    assert (state, job) == (CaptureState.WAITING_FOR_TAIL, None)
    _, state, job = decided(first, tail_due(at(1), 6) + timedelta(seconds=5), coverage=short, pinned=True)
    assert (state, job) == (CaptureState.CUTTING, 1)


def test_skip_takes_what_is_there() -> None:
    first, _, _ = decided(capture(tail="Skip"))
    _, _, job = decided(first, at(2), pinned=True)
    assert job == 1


def test_an_end_in_the_future_is_waited_for_without_looking_in_between() -> None:
    first, _, _ = decided(
        capture(range={"last": {"seconds": 5, "until": rfc3339(NOW), "postRollSeconds": 30}})
    )
    seen = replace(SEEN, pinned=True, job_lead=timedelta(seconds=5))
    decision = decide_capture(first, seen, at(1))
    assert decision.state is CaptureState.WAITING_FOR_TAIL
    assert decision.recheck == tail_due(at(30), 6) - timedelta(seconds=5)
    again = first.model_copy(update={"status": decision.status})
    assert not wants_coverage(again, at(29))
    assert wants_coverage(again, at(30))


def test_the_job_is_made_so_long_before_its_last_segment_is_due_as_a_pod_needs_to_start() -> None:
    first, _, _ = decided(capture())
    # Segments of 6 s; the last one ended 3 s ago. The next one holds the last instant, at 1 s.
    grown = CoverageView(runs={"r1": run_coverage(newest=-3)}, known=True)
    arrival = at(-3 + 6 + 6) + ARRIVAL_SLACK
    parts = {"coverage": grown, "pinned": True, "job_lead": timedelta(seconds=5)}
    early = decide_capture(first, replace(SEEN, **parts), arrival - timedelta(seconds=5.1))  # type: ignore[arg-type] # real fields
    assert (early.create_job, early.recheck) == (None, arrival - timedelta(seconds=5))
    due = decide_capture(first, replace(SEEN, **parts), arrival - timedelta(seconds=5))  # type: ignore[arg-type] # real fields
    assert due.create_job == 1


def test_the_worker_waits_for_the_tail_as_long_as_the_operator_would_have() -> None:
    first, _, _ = decided(capture())
    assert await_until(first, replace(SEEN, pinned=True)) == tail_limit(at(1), 6)
    assert await_until(first, replace(SEEN, buffer_recording=False)) is None
    skipping, _, _ = decided(capture(tail="Skip"))
    assert await_until(skipping, SEEN) is None


@pytest.mark.parametrize("newest", [-9.0, -3.0, -0.5, 0.5])
def test_the_promised_time_is_not_before_the_last_segment_can_be_there(newest: float) -> None:
    grown = CoverageView(runs={"r1": run_coverage(newest=newest)}, known=True)
    first, _, _ = decided(capture(), coverage=grown)
    promised = first.status.expected_ready_time
    assert promised is not None
    arrival = at(newest)
    while arrival < at(1) - FRAME_TOLERANCE:
        arrival += timedelta(seconds=6)
    assert arrival + timedelta(seconds=6) < promised <= tail_due(at(1), 6) + timedelta(seconds=4)


def test_who_asks_for_what_is_on_disk_is_promised_the_start_of_a_pod_and_the_cut() -> None:
    long_ago = {"between": {"start": rfc3339(at(-700)), "end": rfc3339(at(-100))}}
    first, _, _ = decided(capture(range=long_ago), job_lead=timedelta(seconds=5))
    assert first.status.expected_ready_time == at(5 + 3 + 2.1)


def test_a_full_house_queues_and_the_next_free_place_cuts() -> None:
    first, _, _ = decided(capture())
    queued, state, job = decided(first, at(30), pinned=True, rounds_before=lambda: 1)
    assert (state, job) == (CaptureState.QUEUED, None)
    again, _, _ = decided(queued, at(60), pinned=True, rounds_before=lambda: 1)
    assert again.status == queued.status, "nothing is written while the line moves"
    _, state, job = decided(queued, at(60), pinned=True)
    assert (state, job) == (CaptureState.CUTTING, 1)


def test_who_queues_is_promised_a_time_behind_the_jobs_before_it_and_a_better_one_with_its_place() -> None:
    first, _, _ = decided(capture())
    job = timedelta(seconds=5) + cutting_time(resolve_range(capture()))
    asked = {"pinned": True, "job_lead": timedelta(seconds=5)}
    queued, _, _ = decided(first, at(30), rounds_before=lambda: 2, **asked)
    assert queued.status.expected_ready_time == at(30) + 3 * job
    again, _, _ = decided(queued, at(90), rounds_before=lambda: 1, **asked)
    assert again.status == queued.status, "nothing is written while the line moves"
    cutting, _, _ = decided(queued, at(40), **asked)
    assert cutting.status.expected_ready_time == at(40) + job


@pytest.mark.parametrize("waits_for", ["tail", "place"])
def test_a_new_process_that_has_not_sent_its_policy_yet_changes_no_status(waits_for: str) -> None:
    first, _, _ = decided(capture())
    now = at(2) if waits_for == "tail" else at(30)
    waiting, state, _ = decided(first, now, pinned=True, rounds_before=lambda: 1)
    assert state is (CaptureState.WAITING_FOR_TAIL if waits_for == "tail" else CaptureState.QUEUED)
    after, state_after, job = decided(waiting, at(31), pinned=False)
    assert (after.status, state_after, job) == (waiting.status, state, None)


def ended_for_good() -> ReplayBuffer:
    state = BufferState.ENDED
    said = conditions_of((), BUFFER_CONTRACT[state], reason=state, message="m", generation=1, now=NOW)
    return buffer().model_copy(update={"status": ReplayBufferStatus(conditions=said)})


@pytest.mark.parametrize("gone", [None, ended_for_good()], ids=["deleted", "ended for good"])
def test_a_range_that_ends_later_is_cut_at_once_when_its_buffer_will_not_record_again(
    gone: ReplayBuffer | None,
) -> None:
    later = {"between": {"start": rfc3339(at(-60)), "end": rfc3339(at(600))}}
    first, _, _ = decided(capture(range=later))
    _, state, _ = decided(first, at(2), pinned=True, buffer_recording=False)
    assert state is CaptureState.WAITING_FOR_TAIL, "the source may come back"
    _, _, job = decided(first, at(2), pinned=True, buffer=gone, buffer_recording=False)
    assert job == 1


def test_where_the_buffer_was_and_whose_it_was_is_kept_with_the_capture() -> None:
    first, _, _ = decided(capture(), buffer=buffer(owner="user-42"))
    assert first.status.source is not None
    assert (first.status.source.owner, first.status.source.room) == ("user-42", "standup")


@pytest.mark.parametrize("outcome", ["ready", "failed"])
def test_the_write_of_an_outcome_says_that_it_has_to_be_told_if_anybody_wants_to_know(outcome: str) -> None:
    first, _, _ = decided(capture())
    cutting, _, _ = decided(first, at(2), pinned=True, buffer_recording=False)
    error = CaptureError(reason=CaptureErrorReason.NO_MEDIA, message="why")
    result = (
        CaptureResult(capture_uid=CAPTURE_UID, clip=clip())
        if outcome == "ready"
        else CaptureResult(capture_uid=CAPTURE_UID, error=error)
    )
    quiet, _, _ = decided(cutting, at(4), job=JobOutcome.ENDED, result=result)
    assert quiet.status.notification is None
    told, _, _ = decided(cutting, at(4), job=JobOutcome.ENDED, result=result, notify=True)
    assert told.status.notification is not None
    assert told.status.notification.state is NotificationState.PENDING


def on_disk(as_of: float = 0.0, **runs: RunCoverage) -> CoverageView:
    return CoverageView(runs=runs, known=True, as_of=at(as_of))


def test_what_a_run_still_brings_is_awaited_when_its_buffer_has_stopped_recording() -> None:
    first, _, _ = decided(capture())
    stopped = replace(SEEN, buffer_recording=False)
    going = run_coverage(newest=-7)
    assert await_until(first, replace(stopped, coverage=on_disk(run=going))) == tail_limit(at(1), 6)
    over = going.model_copy(update={"ended": True})
    assert await_until(first, replace(stopped, coverage=on_disk(run=over))) is None
    assert await_until(first, replace(stopped, coverage=on_disk(as_of=60, run=going))) is None


@pytest.mark.parametrize("gone", [None, ended_for_good()], ids=["deleted", "ended for good"])
def test_a_range_whose_end_will_never_come_is_not_awaited(gone: ReplayBuffer | None) -> None:
    later = {"between": {"start": rfc3339(at(-60)), "end": rfc3339(at(600))}}
    first, _, _ = decided(capture(range=later))
    coverage = on_disk(run=run_coverage(newest=-7))
    assert await_until(first, replace(SEEN, buffer=gone, buffer_recording=False, coverage=coverage)) is None


def test_a_killed_run_that_is_still_in_the_window_changes_no_promise() -> None:
    live, killed = run_coverage(newest=-7), run_coverage(newest=-303.5, arrived=-297)
    assert tail_expected(at(0), 6, on_disk(a=live, b=killed)) == tail_expected(at(0), 6, on_disk(a=live))


def test_nothing_is_awaited_when_nothing_records() -> None:
    first, _, _ = decided(capture())
    _, _, job = decided(first, at(2), pinned=True, buffer_recording=False)
    assert job == 1


def test_a_capture_survives_its_buffer() -> None:
    first, _, _ = decided(capture())
    _, state, job = decided(first, at(2), pinned=True, buffer=None, buffer_recording=False)
    assert (state, job) == (CaptureState.CUTTING, 1)


def test_a_result_makes_it_ready() -> None:
    first, _, _ = decided(capture())
    cutting, _, _ = decided(first, at(2), pinned=True, buffer_recording=False)
    done, state, _ = decided(
        cutting, at(4), job=JobOutcome.ENDED, result=CaptureResult(capture_uid=CAPTURE_UID, clip=clip())
    )
    assert state is CaptureState.READY
    assert done.status.clip == clip()
    assert is_finished(done)


@pytest.mark.parametrize(
    ("reason", "tries_again"),
    [
        (CaptureErrorReason.NO_MEDIA, False),
        (CaptureErrorReason.BUFFER_TOO_SHORT, False),
        (CaptureErrorReason.JOIN_FAILED, True),
        (CaptureErrorReason.ARCHIVE_FULL, True),
        (CaptureErrorReason.ARCHIVE_UNWRITABLE, True),
        (CaptureErrorReason.INTERNAL, True),
    ],
)
def test_only_causes_that_another_try_can_cure_are_tried_again(
    reason: CaptureErrorReason, tries_again: bool
) -> None:
    first, _, _ = decided(capture())
    cutting, _, _ = decided(first, at(2), pinned=True, buffer_recording=False)
    error = CaptureResult(capture_uid=CAPTURE_UID, error=CaptureError(reason=reason, message="why"))
    failed, state, job = decided(cutting, at(4), job=JobOutcome.FAILED, result=error)
    assert job == (2 if tries_again else None)
    assert (state is CaptureState.FAILED) is not tries_again
    if not tries_again:
        stalled = next(c for c in failed.status.conditions if c.type == "Stalled")
        assert (stalled.reason, stalled.message) == (reason.value, "why")


def test_a_job_that_ends_without_a_word_is_tried_a_few_times() -> None:
    current, _, _ = decided(capture())
    current, _, attempt = decided(current, at(2), pinned=True, buffer_recording=False)
    attempts = [attempt]
    while True:
        current, state, attempt = decided(current, at(4), job=JobOutcome.ENDED)
        if attempt is None:
            break
        attempts.append(attempt)
    assert attempts == list(range(1, MAX_ATTEMPTS + 1))
    assert state is CaptureState.FAILED


def test_a_missing_buffer_is_waited_for_and_then_refused() -> None:
    waiting, state, _ = decided(capture(), at(10), buffer=None)
    assert state is CaptureState.WAITING_FOR_BUFFER
    _, state, _ = decided(waiting, at(301), buffer=None)
    assert state is CaptureState.FAILED


def test_an_end_far_in_the_future_is_refused() -> None:
    between = {"between": {"start": rfc3339(NOW), "end": rfc3339(at(5 * 3600))}}
    _, state, _ = decided(capture(range=between))
    assert state is CaptureState.FAILED


def test_job_names_are_dns_labels_however_long_the_capture_is_called() -> None:
    long = capture(name="a" * 44 + ".very.long.name" + "b" * 150)
    name = job_name(long.metadata, 3)
    assert len(name) <= 63
    assert name.replace("-", "").isalnum()
    assert name.endswith("-3")


FLUSH = capture(tail="Flush", range={"last": {"seconds": 60, "until": rfc3339(NOW)}})
LONG_SEGMENTS = {"segment_seconds": 10, "pinned": True}


def flush_of(current: ReplayCapture, now: datetime, **parts: object) -> bool:
    return decide_capture(current, replace(SEEN, **parts), now).flush  # type: ignore[arg-type] # real fields


def test_a_flush_is_asked_for_as_soon_as_the_range_is_known_and_until_the_instant_is_on_disk() -> None:
    first, _, _ = decided(FLUSH, **LONG_SEGMENTS)
    assert flush_of(first, at(0.1), **LONG_SEGMENTS)
    cutting, state, _ = decided(first, at(0.5), job_lead=timedelta(seconds=5), **LONG_SEGMENTS)
    assert state is CaptureState.CUTTING
    assert flush_of(cutting, at(0.6), job=JobOutcome.RUNNING, **LONG_SEGMENTS)
    there = CoverageView(runs={"r1": run_coverage(newest=0.1)}, known=True)
    assert not flush_of(cutting, at(3), job=JobOutcome.RUNNING, coverage=there, **LONG_SEGMENTS)


def test_a_flushed_clip_is_promised_sooner_than_one_that_waits() -> None:
    waiting, _, _ = decided(FLUSH.model_copy(update={"spec": capture().spec}), **LONG_SEGMENTS)
    flushed, _, _ = decided(FLUSH, **LONG_SEGMENTS)
    assert waiting.status.expected_ready_time is not None
    assert flushed.status.expected_ready_time is not None
    gained = waiting.status.expected_ready_time - flushed.status.expected_ready_time
    assert gained > timedelta(seconds=10)


def test_an_end_in_the_future_is_flushed_when_it_comes() -> None:
    later = capture(
        tail="Flush", range={"last": {"seconds": 5, "until": rfc3339(NOW), "postRollSeconds": 30}}
    )
    first, _, _ = decided(later, **LONG_SEGMENTS)
    early = decide_capture(first, replace(SEEN, **LONG_SEGMENTS), at(5))  # type: ignore[arg-type] # real fields
    assert not early.flush
    assert early.recheck is not None
    assert early.recheck <= at(29)
    assert flush_of(first, at(29), **LONG_SEGMENTS)


def test_nothing_is_flushed_without_need() -> None:
    ended, _, _ = decided(FLUSH, buffer_recording=False, **LONG_SEGMENTS)
    assert not flush_of(ended, at(1), buffer_recording=False, **LONG_SEGMENTS)
    waits, _, _ = decided(capture(), **LONG_SEGMENTS)
    assert not flush_of(waits, at(1), **LONG_SEGMENTS)
    soon = CoverageView(runs={"r1": run_coverage(newest=-1.9)}, known=True)
    first, _, _ = decided(FLUSH, segment_seconds=2, coverage=soon, pinned=True)
    assert not flush_of(first, at(1), segment_seconds=2, coverage=soon, pinned=True), "it comes by itself"

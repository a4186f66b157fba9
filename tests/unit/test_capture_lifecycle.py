"""What the operator does for a capture, by what it sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from replay_operator.api.capture_job import CaptureError, CaptureErrorReason, CaptureResult
from replay_operator.api.replaycapture import Clip, Clock, ReplayCapture
from replay_operator.domain.captures import (
    MAX_ATTEMPTS,
    CaptureObservation,
    JobOutcome,
    decide_capture,
    is_finished,
    job_name,
    resolve_range,
    tail_due,
)
from replay_operator.domain.observation import CoverageView
from replay_operator.domain.status_contract import CaptureState
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


def test_an_end_in_the_future_is_waited_for() -> None:
    first, _, _ = decided(
        capture(range={"last": {"seconds": 5, "until": rfc3339(NOW), "postRollSeconds": 30}})
    )
    decision = decide_capture(first, replace(SEEN, pinned=True), at(1))
    assert decision.state is CaptureState.WAITING_FOR_TAIL
    assert decision.recheck == at(30)


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

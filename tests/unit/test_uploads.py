"""The way of a clip into the bucket: what is done and said, attempt by attempt."""

from __future__ import annotations

from typing import Any

import pytest

from replay_operator.api.meta import Condition, ConditionStatus, find_condition
from replay_operator.api.replaycapture import Clip, Clock, ReplayCapture
from replay_operator.api.upload import LocalCopy, Upload, UploadState
from replay_operator.api.upload_job import UploadError, UploadErrorReason, UploadResult
from replay_operator.domain.status_contract import (
    CAPTURE_CONTRACT,
    CaptureState,
    KStatus,
    conditions_of,
    kstatus,
)
from replay_operator.domain.uploads import (
    LONGEST_PAUSE,
    UPLOADED,
    UploadAct,
    UploadDecision,
    UploadJob,
    decide_upload,
    is_at_rest,
    is_under_way,
    pause_after,
    without_local_copy,
)
from tests.builders import CAPTURE_UID, at, capture

CLIP = Clip(
    path="team/shared/2026-11-23/goal-cafecafe.mp4",
    bytes=10,
    milliseconds=1000,
    start=at(0),
    end=at(1),
    segments=1,
    runs=1,
    clock=Clock.STARTED_AT,
)
URL = f"s3://clips/{CLIP.path}"
DONE = UploadResult(capture_uid=CAPTURE_UID, url=URL, parts=1)


def ready(state: CaptureState = CaptureState.READY) -> ReplayCapture:
    plain = capture()
    conditions = conditions_of((), CAPTURE_CONTRACT[state], reason="R", message="m", generation=1, now=at(1))
    return with_status(plain, conditions=conditions, clip=CLIP if state is CaptureState.READY else None)


def with_status(found: ReplayCapture, **status: Any) -> ReplayCapture:
    return found.model_copy(update={"status": found.status.model_copy(update=status)})


def after(found: ReplayCapture, decision: UploadDecision) -> ReplayCapture:
    return found.model_copy(update={"status": decision.status})


def failure(reason: UploadErrorReason) -> UploadResult:
    return UploadResult(capture_uid=CAPTURE_UID, error=UploadError(reason=reason, message="why"))


def decide(
    found: ReplayCapture, job: UploadJob | None = None, seconds: float = 2, **known: bool
) -> UploadDecision:
    usual = {"keep_local_copy": True, "extras_are_made": True, "place_is_free": True}
    return decide_upload(found, job, at(seconds), bucket="clips", **usual | known)


def uploaded(decision: UploadDecision) -> Condition:
    condition = find_condition(decision.status.conditions, UPLOADED)
    assert condition is not None
    return condition


def told_of(decision: UploadDecision) -> Upload:
    assert decision.status.upload is not None
    return decision.status.upload


def test_a_ready_clip_is_uploaded_and_said_to_be_pending() -> None:
    decision = decide(ready())
    assert (decision.act, decision.attempt) == (UploadAct.START, 1)
    assert told_of(decision).state is UploadState.PENDING
    assert uploaded(decision).status is ConditionStatus.FALSE


def test_a_clip_that_was_ready_before_there_was_a_bucket_is_uploaded_too() -> None:
    assert decide(ready(), seconds=10**7).act is UploadAct.START


@pytest.mark.parametrize("state", [CaptureState.CUTTING, CaptureState.FAILED])
def test_without_a_clip_there_is_nothing_to_upload(state: CaptureState) -> None:
    decision = decide(ready(state))
    assert (decision.act, decision.status.upload) == (UploadAct.NOTHING, None)


def test_an_upload_waits_for_the_extras_and_for_a_place() -> None:
    assert decide(ready(), extras_are_made=False).act is UploadAct.NOTHING
    assert decide(ready(), place_is_free=False).act is UploadAct.NOTHING


def test_a_pending_upload_costs_no_second_write() -> None:
    first = decide(ready(), place_is_free=False)
    again = decide(after(ready(), first), seconds=500, place_is_free=False)
    assert again.status == first.status


def test_while_its_job_runs_nothing_is_done_or_written() -> None:
    pending = after(ready(), decide(ready()))
    decision = decide(pending, UploadJob(attempt=1))
    assert (decision.act, decision.status) == (UploadAct.NOTHING, pending.status)


def test_a_verified_upload_gives_the_clip_its_url() -> None:
    decision = decide(ready(), UploadJob(attempt=1, has_ended=True, result=DONE))
    assert decision.status.clip == CLIP.model_copy(update={"url": URL})
    assert told_of(decision) == Upload(state=UploadState.VERIFIED, attempts=1)
    assert uploaded(decision).status is ConditionStatus.TRUE
    assert decision.act is UploadAct.NOTHING


def test_a_failed_attempt_is_told_and_tried_again_after_a_pause() -> None:
    job = UploadJob(attempt=1, has_ended=True, result=failure(UploadErrorReason.CREDENTIALS_REFUSED))
    failed = decide(ready(), job, seconds=10)
    assert (failed.act, failed.recheck) == (UploadAct.NOTHING, at(40))
    assert told_of(failed) == Upload(state=UploadState.RETRYING, attempts=1, next_attempt_time=at(40))
    assert (uploaded(failed).reason, uploaded(failed).message) == ("CredentialsRefused", "why")
    known = after(ready(), failed)
    assert decide(known, job, seconds=39).act is UploadAct.NOTHING
    again = decide(known, job, seconds=40)
    assert (again.act, again.attempt) == (UploadAct.START, 2)
    assert again.status == known.status


def test_an_attempt_that_has_ended_is_counted_once() -> None:
    job = UploadJob(attempt=1, has_ended=True, result=failure(UploadErrorReason.BUCKET_FULL))
    once = after(ready(), decide(ready(), job, seconds=10))
    assert decide(once, job, seconds=11).status == once.status


def test_a_later_attempt_heals_the_condition() -> None:
    broken = UploadJob(attempt=1, has_ended=True, result=failure(UploadErrorReason.BUCKET_UNREACHABLE))
    known = after(ready(), decide(ready(), broken))
    healed = decide(known, UploadJob(attempt=2, has_ended=True, result=DONE), seconds=60)
    assert told_of(healed) == Upload(state=UploadState.VERIFIED, attempts=2)
    assert uploaded(healed).status is ConditionStatus.TRUE


@pytest.mark.parametrize(
    "reason",
    [
        UploadErrorReason.BAD_REQUEST,
        UploadErrorReason.CLIP_MISSING,
        UploadErrorReason.CLIP_CHANGED,
        UploadErrorReason.OBJECT_TAKEN,
    ],
)
def test_what_no_retry_can_cure_ends_it(reason: UploadErrorReason) -> None:
    decision = decide(
        ready(), UploadJob(attempt=1, has_ended=True, result=failure(reason)), keep_local_copy=False
    )
    assert told_of(decision).state is UploadState.FAILED
    assert (decision.act, decision.recheck) == (UploadAct.NOTHING, None)


@pytest.mark.parametrize("result", [None, DONE.model_copy(update={"capture_uid": "another"})])
def test_a_job_without_an_answer_of_its_own_is_tried_again(result: UploadResult | None) -> None:
    decision = decide(ready(), UploadJob(attempt=1, has_ended=True, result=result))
    assert told_of(decision).state is UploadState.RETRYING
    assert uploaded(decision).reason == UploadErrorReason.INTERNAL
    assert decision.status.clip == CLIP


def test_the_local_copy_goes_only_after_the_url_is_written_and_only_once() -> None:
    job = UploadJob(attempt=1, has_ended=True, result=DONE)
    for state in (UploadState.PENDING, UploadState.RETRYING, UploadState.FAILED):
        waiting = with_status(ready(), upload=Upload(state=state, attempts=1))
        assert decide(waiting, keep_local_copy=False).act is not UploadAct.DROP_LOCAL_COPY
    verified = decide(ready(), job, keep_local_copy=False)
    assert (verified.act, verified.status.clip and verified.status.clip.url) == (
        UploadAct.DROP_LOCAL_COPY,
        URL,
    )
    dropped = with_status(ready(), **dict(without_local_copy(verified.status)))
    assert told_of(decide(dropped, job, keep_local_copy=False)).local_copy is LocalCopy.DROPPED
    assert decide(dropped, job, keep_local_copy=False).act is UploadAct.NOTHING


def verified(seconds: float = 2, url: str = URL) -> ReplayCapture:
    result = DONE.model_copy(update={"url": url})
    return after(
        ready(), decide(ready(), UploadJob(attempt=1, has_ended=True, result=result), seconds=seconds)
    )


def test_a_local_copy_that_could_not_go_at_once_may_still_go_for_an_hour() -> None:
    soon = decide(verified(), seconds=3600, keep_local_copy=False)
    assert (soon.act, soon.status) == (UploadAct.DROP_LOCAL_COPY, verified().status)


def test_no_local_copy_goes_on_an_old_word_the_bucket_is_asked_once_more() -> None:
    old = UploadJob(attempt=1, has_ended=True)
    waits = decide(verified(), old, seconds=10**7, keep_local_copy=False, place_is_free=False)
    assert (waits.act, told_of(waits)) == (UploadAct.NOTHING, Upload(attempts=1))
    assert (uploaded(waits).status, uploaded(waits).reason) == (ConditionStatus.FALSE, "UploadPending")
    assert waits.status.clip == CLIP.model_copy(update={"url": URL}), "it is there as far as is known"
    asks = decide(after(ready(), waits), old, seconds=10**7 + 1, keep_local_copy=False)
    assert (asks.act, asks.attempt, asks.status) == (UploadAct.START, 2, waits.status)
    assert decide(verified(), old, seconds=10**7, keep_local_copy=False).attempt == 2
    again = UploadJob(attempt=2, has_ended=True, result=DONE)
    sure = decide(after(ready(), asks), again, seconds=10**7 + 9, keep_local_copy=False)
    assert (sure.act, told_of(sure)) == (
        UploadAct.DROP_LOCAL_COPY,
        Upload(state=UploadState.VERIFIED, attempts=2),
    )


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (UploadErrorReason.BUCKET_MISSING, UploadState.RETRYING),
        (UploadErrorReason.CLIP_CHANGED, UploadState.FAILED),
    ],
)
def test_a_local_copy_stays_when_the_bucket_does_not_have_the_clip_any_more(
    reason: UploadErrorReason, state: UploadState
) -> None:
    asks = decide(verified(), seconds=10**7, keep_local_copy=False)
    job = UploadJob(attempt=2, has_ended=True, result=failure(reason))
    told = decide(after(ready(), asks), job, seconds=10**7 + 9, keep_local_copy=False)
    assert (told.act, told_of(told).state) == (UploadAct.NOTHING, state)


def test_an_attempt_that_was_asked_for_by_hand_lets_the_copy_go_though_the_condition_is_old() -> None:
    by_hand = with_status(verified(), upload=Upload(attempts=1))
    job = UploadJob(attempt=2, has_ended=True, result=DONE)
    assert decide(by_hand, job, seconds=10**7, keep_local_copy=False).act is UploadAct.DROP_LOCAL_COPY


@pytest.mark.parametrize("bucket", ["another", "clips-2", "clip"])
def test_a_clip_that_was_verified_in_another_bucket_keeps_its_local_copy(bucket: str) -> None:
    elsewhere = verified(url=f"s3://{bucket}/{CLIP.path}")
    for seconds in (3, 10**7):
        decision = decide(elsewhere, seconds=seconds, keep_local_copy=False)
        assert (decision.act, decision.status) == (UploadAct.NOTHING, elsewhere.status)
    assert is_at_rest(elsewhere, keep_local_copy=False, bucket="clips")


def test_a_clip_is_at_rest_when_it_is_there_or_given_up_and_its_local_copy_is_as_wanted() -> None:
    def rests(*, keep: bool, **upload: Any) -> bool:
        there = with_status(ready(), upload=Upload(**upload), clip=CLIP.model_copy(update={"url": URL}))
        return is_at_rest(there, keep_local_copy=keep, bucket="clips")

    assert not is_at_rest(ready(), keep_local_copy=True, bucket="clips")
    for state in (UploadState.PENDING, UploadState.RETRYING):
        assert not rests(keep=True, state=state)
    assert rests(keep=False, state=UploadState.FAILED)
    assert rests(keep=True, state=UploadState.VERIFIED)
    assert not rests(keep=False, state=UploadState.VERIFIED)
    assert rests(keep=False, state=UploadState.VERIFIED, local_copy=LocalCopy.DROPPED)


def test_pauses_double_and_end_at_an_hour() -> None:
    assert [pause_after(n).total_seconds() for n in (1, 2, 3)] == [30, 60, 120]
    assert pause_after(8) == pause_after(1000) == LONGEST_PAUSE


def test_a_clip_that_is_not_uploaded_is_ready_all_the_same() -> None:
    job = UploadJob(attempt=1, has_ended=True, result=failure(UploadErrorReason.BUCKET_MISSING))
    decision = decide(ready(), job)
    assert kstatus(1, 1, decision.status.conditions) is KStatus.CURRENT


def test_an_upload_is_under_way_until_it_is_verified_or_given_up() -> None:
    states = {state: is_under_way(with_status(ready(), upload=Upload(state=state))) for state in UploadState}
    assert [state for state, under_way in states.items() if under_way] == [
        UploadState.PENDING,
        UploadState.RETRYING,
    ]
    assert not is_under_way(ready())

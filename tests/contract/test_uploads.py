"""A finished clip goes to the bucket: one Job an attempt, two writes, and the local clip is never at risk."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.removal_job import REMOVAL_REQUEST_VARIABLE, RemovalRequest, RemovalResult
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.api.upload import LocalCopy, UploadState
from replay_operator.api.upload_job import (
    UPLOAD_REQUEST_VARIABLE,
    UploadError,
    UploadErrorReason,
    UploadRequest,
    UploadResult,
)
from replay_operator.cluster.resources import CAPTURES, JOBS, PODS, ResourceType
from replay_operator.controller.keys import Key, Kind
from replay_operator.domain.uploads import UPLOADED
from replay_operator.settings import UploadSettings
from tests.builders import CAPTURE_UID, NAMESPACE, capture_body
from tests.contract.rig import Outside, Rig, pod_of
from tests.contract.test_capture_flow import CLIP, DONE
from tests.contract.test_capture_retirement import RANGE, cutting, events, exists, ready

KEY = f"archive/{CLIP.path}"
URL = f"s3://clips/{KEY}"
SENT = UploadResult(capture_uid=CAPTURE_UID, url=URL, parts=1).model_dump_json(by_alias=True)


def bucket(**more: Any) -> UploadSettings:
    return UploadSettings(
        bucket="clips", endpoint="https://s3.example.com", prefix="archive", tags="tier=cold", **more
    )


def with_bucket(**more: Any) -> Rig:
    return Rig(Outside(), uploads=bucket(**more))


@pytest.fixture
def rig() -> Rig:
    return with_bucket()


def failed(reason: UploadErrorReason) -> str:
    error = UploadError(reason=reason, message="it went wrong")
    return UploadResult(capture_uid=CAPTURE_UID, error=error).model_dump_json(by_alias=True)


def uploads(rig: Rig) -> list[str]:
    return [name for name in rig.job_names if "-upload-" in name]


def ends(rig: Rig, name: str, message: str | None, *, condition: str | None = None) -> None:
    """The pod of an upload Job ends, and the watch tells of the Job."""
    condition = condition or ("Complete" if message == SENT else "Failed")
    if message is not None:
        pod = pod_of(name, message)
        pod["status"] = {"containerStatuses": pod["status"]["initContainerStatuses"]}
        rig.cluster.add(PODS, pod)
    told = {"type": condition, "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}
    job = rig.cluster.change(JOBS, NAMESPACE, name, status={"conditions": [told]})
    rig.operator.inbox.job("MODIFIED", job)


async def uploading(rig: Rig, **spec: object) -> Rig:
    """A clip whose extras are made and written, and whose upload Job runs."""
    await ready(rig, **spec)
    await rig.reconcile_capture()
    assert len(uploads(rig)) == 1
    return rig


def said(rig: Rig) -> tuple[UploadState, ConditionStatus, str]:
    status = rig.capture.status
    condition = find_condition(status.conditions, UPLOADED)
    assert status.upload is not None
    assert condition is not None
    return status.upload.state, condition.status, condition.reason


def value(rig: Rig, name: str, **labels: str) -> float | None:
    return rig.metrics.registry.get_sample_value(name, labels)


async def test_a_clip_is_sent_when_its_extras_are_made_and_its_status_names_it_when_the_bucket_has_it(
    rig: Rig,
) -> None:
    await ready(rig)
    assert uploads(rig) == [], "its own Job has just told of the extras"
    assert said(rig) == (UploadState.PENDING, ConditionStatus.FALSE, "UploadPending")
    await rig.reconcile_capture()
    [name] = uploads(rig)
    [container] = rig.cluster.stored(JOBS, NAMESPACE, name)["spec"]["template"]["spec"]["containers"]
    variables = {v["name"]: v.get("value", "") for v in container["env"]}
    request = UploadRequest.model_validate_json(variables[UPLOAD_REQUEST_VARIABLE])
    assert (request.bucket, request.key, request.clip_path) == ("clips", KEY, CLIP.path)
    assert ("tier", "cold") in request.tags
    ends(rig, name, SENT)
    await rig.reconcile_capture()
    assert said(rig) == (UploadState.VERIFIED, ConditionStatus.TRUE, "Verified")
    assert rig.capture.status.clip is not None
    assert rig.capture.status.clip.url == URL
    assert rig.capture_reason == "ClipReady"


async def test_an_upload_costs_two_status_writes_and_then_nothing_not_even_over_a_restart(rig: Rig) -> None:
    plain = await ready(Rig(Outside()))
    await uploading(rig)
    ends(rig, uploads(rig)[0], SENT)
    await rig.reconcile_capture()
    assert rig.capture_status_writes == plain.capture_status_writes + 2
    writes = len(rig.cluster.writes)
    for process in (rig, rig.restarted()):
        await process.look()
        await process.reconcile_capture()
    assert len(rig.cluster.writes) == writes


async def test_without_a_bucket_nothing_of_it_is_seen() -> None:
    rig = await ready(Rig(Outside()))
    await rig.reconcile_capture()
    assert uploads(rig) == []
    assert rig.capture.status.upload is None
    assert find_condition(rig.capture.status.conditions, UPLOADED) is None
    assert value(rig, "replay_upload_errors_total", error_type="BucketFull") is None


async def test_a_failed_attempt_is_told_and_counted_once_and_the_next_one_has_a_job_of_its_own(
    rig: Rig,
) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], failed(UploadErrorReason.CREDENTIALS_REFUSED))
    assert await rig.reconcile_capture() == 30
    assert said(rig) == (UploadState.RETRYING, ConditionStatus.FALSE, "CredentialsRefused")
    assert value(rig, "replay_upload_errors_total", error_type="CredentialsRefused") == 1
    await rig.reconcile_capture()
    assert value(rig, "replay_upload_errors_total", error_type="CredentialsRefused") == 1
    rig.clock.go_on(30)
    await rig.reconcile_capture()
    assert [name[-1] for name in uploads(rig)] == ["1", "2"]
    ends(rig, uploads(rig)[1], SENT)
    await rig.reconcile_capture()
    assert said(rig)[0] is UploadState.VERIFIED
    assert value(rig, "replay_upload_verified_total") == 1
    assert value(rig, "replay_upload_bytes_total") == CLIP.bytes
    assert events(rig, "UploadFailed") == []


async def test_an_upload_that_nothing_can_help_is_told_by_one_event_and_tried_no_more(rig: Rig) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], failed(UploadErrorReason.OBJECT_TAKEN))
    assert await rig.reconcile_capture() is None
    rig.clock.go_on(9000)
    await rig.reconcile_capture()
    await rig.look()
    assert said(rig)[0] is UploadState.FAILED
    assert events(rig, "UploadFailed") == ["ObjectTaken: it went wrong"]
    assert len(uploads(rig)) == 1
    assert value(rig, "replay_upload_clips", state="Failed") == 1
    assert value(rig, "replay_upload_oldest_seconds") == 0


async def test_who_has_mended_the_cause_can_have_a_given_up_upload_tried_again(rig: Rig) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], failed(UploadErrorReason.OBJECT_TAKEN))
    await rig.reconcile_capture()
    body = rig.cluster.stored(CAPTURES, NAMESPACE, "goal")
    body["status"]["upload"]["state"] = "Pending"  # what the runbook says
    rig.captures.put(rig.cluster.add(CAPTURES, body))
    await rig.reconcile_capture()
    assert [name[-1] for name in uploads(rig)] == ["1", "2"]
    ends(rig, uploads(rig)[1], SENT)
    await rig.reconcile_capture()
    assert said(rig) == (UploadState.VERIFIED, ConditionStatus.TRUE, "Verified")


async def test_a_pod_that_ended_without_a_word_is_told_with_what_kubernetes_says(rig: Rig) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], None)
    await rig.reconcile_capture()
    condition = find_condition(rig.capture.status.conditions, UPLOADED)
    assert condition is not None
    assert condition.reason == "Internal"
    assert "BackoffLimitExceeded" in condition.message


async def test_an_answer_is_not_lost_with_the_process_that_waited_for_it(rig: Rig) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], SENT)
    new = rig.restarted()
    await new.look()
    await new.reconcile_capture()
    assert said(new)[0] is UploadState.VERIFIED
    assert len(uploads(new)) == 1


async def test_a_job_that_runs_is_not_made_again_by_the_next_process(rig: Rig) -> None:
    await uploading(rig)
    new = rig.restarted()
    await new.look()
    writes = len(new.cluster.writes)
    await new.reconcile_capture()
    assert len(new.cluster.writes) == writes


async def test_a_job_of_an_attempt_that_is_there_already_is_gone_on_with(rig: Rig) -> None:
    await ready(rig)
    rig.cluster.away_for = {"create jobs"}
    with pytest.raises(Exception, match="no answer"):
        await rig.reconcile_capture()
    rig.cluster.away_for = set()
    await rig.reconcile_capture()
    await rig.reconcile_capture()
    assert len(uploads(rig)) == 1


async def test_an_upload_waits_for_the_extras_though_the_clip_is_ready(rig: Rig) -> None:
    await cutting(rig)
    rig.pod_tells(rig.job_names[0], DONE)
    await rig.reconcile_capture()
    await rig.reconcile_capture()
    assert said(rig)[0] is UploadState.PENDING
    assert uploads(rig) == []


async def test_a_capture_does_not_expire_before_its_clip_is_in_the_bucket(rig: Rig) -> None:
    await uploading(rig, ttlSecondsAfterFinished=0)
    assert exists(rig)
    ends(rig, uploads(rig)[0], SENT)
    await rig.reconcile_capture()
    assert not exists(rig)


async def test_a_capture_does_not_expire_before_its_local_copy_has_gone_or_is_known_to_stay() -> None:
    for refusal in (None, "it belongs to another capture"):
        rig = with_bucket(keep_local_copy=False)
        await uploading(rig, ttlSecondsAfterFinished=0)
        ends(rig, uploads(rig)[0], SENT)
        rig.agent.away = True
        assert await rig.reconcile_capture() == 30
        assert exists(rig)
        rig.agent.away, rig.agent.refused_clip = False, refusal
        await rig.reconcile_capture()
        assert not exists(rig)


async def test_an_upload_that_is_under_way_holds_nothing_when_the_bucket_is_switched_off(rig: Rig) -> None:
    await uploading(rig, ttlSecondsAfterFinished=0)
    without = Rig(rig.outside)
    for body in rig.cluster.all_of(CAPTURES):
        without.captures.put(body)
    await without.look()
    await without.reconcile_capture()
    assert not exists(without)


# --- places


def other_clip(rig: Rig, number: int) -> str:
    """A capture that was finished before there was a bucket."""
    uid = f"cafecaf{number}-0000-4000-8000-000000000002"
    body = capture_body(range=RANGE)
    body["metadata"] |= {"name": f"goal-{number}", "uid": uid}
    body["status"] = rig.cluster.stored(CAPTURES, NAMESPACE, "goal")["status"]
    rig.captures.put(rig.cluster.add(CAPTURES, body))
    return uid


def state_of(rig: Rig, number: int) -> UploadState:
    capture = ReplayCapture.model_validate(rig.cluster.stored(CAPTURES, NAMESPACE, f"goal-{number}"))
    assert capture.status.upload is not None
    return capture.status.upload.state


async def test_who_finds_no_place_is_pending_and_woken_when_one_is_free() -> None:
    rig = with_bucket(max_jobs=1)
    await ready(rig)
    uid = other_clip(rig, 1)
    await rig.reconcile_capture()
    await rig.operator.captures.reconcile(uid)
    assert len(uploads(rig)) == 1
    assert state_of(rig, 1) is UploadState.PENDING
    await rig.woken()
    await rig.look()
    assert await rig.woken() == set()
    assert value(rig, "replay_upload_jobs") == 1
    ends(rig, uploads(rig)[0], SENT)
    await rig.reconcile_capture()
    assert Key(Kind.CAPTURE, uid) in await rig.woken()
    await rig.operator.captures.reconcile(uid)
    assert len(uploads(rig)) == 2


async def test_never_more_uploads_than_places_even_when_all_are_reconciled_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = with_bucket(max_jobs=2)
    await ready(rig)
    create = rig.cluster.create

    async def slowly(type_: ResourceType, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return await create(type_, namespace, body)

    monkeypatch.setattr(rig.cluster, "create", slowly)
    others = [other_clip(rig, number) for number in range(1, 6)]
    await asyncio.gather(*(rig.operator.captures.reconcile(uid) for uid in (CAPTURE_UID, *others)))
    assert len(uploads(rig)) == 2


async def test_a_start_that_fails_gives_its_place_back() -> None:
    rig = with_bucket(max_jobs=1)
    await ready(rig)
    rig.cluster.away_for = {"create jobs"}
    with pytest.raises(Exception, match="no answer"):
        await rig.reconcile_capture()
    rig.cluster.away_for = set()
    await rig.operator.captures.reconcile(other_clip(rig, 1))
    assert len(uploads(rig)) == 1


async def test_a_clip_of_a_capture_that_is_being_deleted_is_not_sent(rig: Rig) -> None:
    await uploading(rig, deletionPolicy="Delete")
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    job = rig.cluster.stored(JOBS, NAMESPACE, uploads(rig)[0])
    assert "deletionTimestamp" in job["metadata"], "it would bring a deleted clip back"
    assert rig.agent.deleted_clips == []


async def test_the_oldest_upload_that_is_due_is_measured(rig: Rig) -> None:
    await uploading(rig)
    ends(rig, uploads(rig)[0], failed(UploadErrorReason.BUCKET_UNREACHABLE))
    await rig.reconcile_capture()
    rig.clock.go_on(4000)
    await rig.look()
    assert value(rig, "replay_upload_oldest_seconds") == pytest.approx(4000, abs=1)
    assert value(rig, "replay_upload_clips", state="Retrying") == 1


# --- the local copy


async def test_the_local_copy_goes_when_the_status_names_the_other_one(rig: Rig) -> None:
    dropping = with_bucket(keep_local_copy=False)
    for each in (rig, dropping):
        await uploading(each)
        ends(each, uploads(each)[0], SENT)
        await each.reconcile_capture()
        await each.reconcile_capture()
    assert rig.agent.dropped_clips == []
    [dropped] = dropping.agent.dropped_clips
    assert (dropped.path, dropped.capture_uid) == (CLIP.path, CAPTURE_UID)
    assert dropping.capture.status.upload is not None
    assert dropping.capture.status.upload.local_copy is LocalCopy.DROPPED
    assert dropping.agent.deleted_clips == []


async def test_a_local_copy_waits_for_an_agent_that_is_away_and_stays_if_it_is_not_ours() -> None:
    rig = with_bucket(keep_local_copy=False)
    await uploading(rig)
    ends(rig, uploads(rig)[0], SENT)
    rig.agent.away = True
    assert await rig.reconcile_capture() == 30
    rig.agent.away = False
    rig.agent.refused_clip = "it belongs to another capture"
    for _ in range(3):
        assert await rig.reconcile_capture() is None
    assert len(rig.agent.dropped_clips) == 1, "asking again changes nothing"
    assert said(rig)[0] is UploadState.VERIFIED


async def test_a_local_copy_of_a_clip_that_did_not_get_there_stays() -> None:
    rig = with_bucket(keep_local_copy=False)
    await uploading(rig)
    ends(rig, uploads(rig)[0], failed(UploadErrorReason.CLIP_CHANGED))
    await rig.reconcile_capture()
    await rig.reconcile_capture()
    assert rig.agent.dropped_clips == []


def switched(rig: Rig, **settings: Any) -> Rig:
    """The next process of an install whose settings of uploads have changed."""
    new = Rig(rig.outside, uploads=bucket().model_copy(update={"keep_local_copy": False, **settings}))
    for body in rig.cluster.all_of(CAPTURES):
        new.captures.put(body)
    for body in rig.cluster.all_of(JOBS):
        new.operator.inbox.job("ADDED", body)
    return new


async def verified_long_ago(rig: Rig) -> Rig:
    await uploaded(rig)
    rig.clock.go_on(9000)
    return rig


async def test_clips_that_were_verified_before_the_switch_are_looked_for_where_they_were_and_then_dropped(
    rig: Rig,
) -> None:
    await verified_long_ago(rig)
    new = switched(rig, prefix="another")
    await new.look()
    await new.reconcile_capture()
    assert new.agent.dropped_clips == []
    assert said(new) == (UploadState.PENDING, ConditionStatus.FALSE, "UploadPending")
    _, second = uploads(new)
    [container] = new.cluster.stored(JOBS, NAMESPACE, second)["spec"]["template"]["spec"]["containers"]
    variables = {v["name"]: v.get("value", "") for v in container["env"]}
    assert UploadRequest.model_validate_json(variables[UPLOAD_REQUEST_VARIABLE]).key == KEY
    ends(new, second, SENT)
    await new.reconcile_capture()
    assert [dropped.path for dropped in new.agent.dropped_clips] == [CLIP.path]
    assert new.capture.status.upload is not None
    assert new.capture.status.upload.local_copy is LocalCopy.DROPPED


async def test_many_clips_that_were_verified_before_the_switch_wait_for_their_places(rig: Rig) -> None:
    await verified_long_ago(rig)
    uids = [other_clip(rig, number) for number in (1, 2)]
    new = switched(rig, max_jobs=1)
    await new.look()
    for uid in (CAPTURE_UID, *uids):
        await new.operator.captures.reconcile(uid)
    assert len(uploads(new)) == 2, "the one of before, and one more"
    assert value(new, "replay_upload_clips", state="Pending") == 3
    await new.woken()
    ends(new, uploads(new)[1], SENT)
    await new.reconcile_capture()
    assert Key(Kind.CAPTURE, uids[0]) in await new.woken()


async def test_what_the_bucket_has_lost_keeps_its_local_copy(rig: Rig) -> None:
    await verified_long_ago(rig)
    new = switched(rig)
    await new.look()
    await new.reconcile_capture()
    ends(new, uploads(new)[1], failed(UploadErrorReason.BUCKET_MISSING))
    assert await new.reconcile_capture() == 60
    assert said(new) == (UploadState.RETRYING, ConditionStatus.FALSE, "BucketMissing")
    assert new.agent.dropped_clips == []


async def test_what_was_verified_in_another_bucket_stays_on_the_volume_and_costs_nothing(rig: Rig) -> None:
    await uploaded(rig)
    new = switched(rig, bucket="another")
    await new.look()
    writes = len(new.cluster.writes)
    await new.reconcile_capture()
    assert (new.agent.dropped_clips, len(new.cluster.writes)) == ([], writes)
    new.user_changes_capture(ttlSecondsAfterFinished=0)
    await new.reconcile_capture()
    assert not exists(new), "nothing is left to do for it"


async def test_a_clip_whose_local_copy_is_not_ours_is_not_verified_again_and_again() -> None:
    rig = with_bucket(keep_local_copy=False)
    rig.agent.refused_clip = "it belongs to another capture"
    await uploaded(rig)
    writes = len(rig.cluster.writes)
    rig.clock.go_on(9000)
    assert await rig.reconcile_capture() is None
    assert len(rig.cluster.writes) == writes


# --- deleting


GONE = RemovalResult(removed=1).model_dump_json(by_alias=True)


def removal(rig: Rig) -> str | None:
    return next((name for name in rig.job_names if name.endswith("-removal")), None)


async def uploaded(rig: Rig, **spec: object) -> Rig:
    await uploading(rig, **spec)
    ends(rig, uploads(rig)[0], SENT)
    await rig.reconcile_capture()
    assert said(rig)[0] is UploadState.VERIFIED
    return rig


async def deleting(rig: Rig) -> Rig:
    """A capture that is deleted, and whose other Jobs are gone."""
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    for name in rig.job_names:
        if removal(rig) != name:
            rig.cluster.remove(JOBS, NAMESPACE, name)
    await rig.reconcile_capture()
    return rig


async def test_a_clip_that_goes_with_its_capture_goes_from_the_bucket_too(rig: Rig) -> None:
    await uploaded(rig, deletionPolicy="Delete")
    await deleting(rig)
    name = removal(rig)
    assert name is not None
    assert [clip.path for clip in rig.agent.deleted_clips] == [CLIP.path]
    assert exists(rig), "the object waits for the bucket"
    [container] = rig.cluster.stored(JOBS, NAMESPACE, name)["spec"]["template"]["spec"]["containers"]
    variables = {v["name"]: v.get("value", "") for v in container["env"]}
    [wanted] = RemovalRequest.model_validate_json(variables[REMOVAL_REQUEST_VARIABLE]).objects
    assert (wanted.key, wanted.capture_uid) == (KEY, CAPTURE_UID)
    assert await rig.reconcile_capture() == 2
    await rig.woken()
    ends(rig, name, GONE, condition="Complete")
    assert Key(Kind.CAPTURE, CAPTURE_UID) in await rig.woken()
    await rig.reconcile_capture()
    assert not exists(rig)
    assert events(rig, "ClipLeftBehind") == []


async def test_a_clip_that_the_bucket_will_not_delete_is_told_and_holds_nobody_up(rig: Rig) -> None:
    await uploaded(rig, deletionPolicy="Delete")
    await deleting(rig)
    name = removal(rig)
    assert name is not None
    refused = UploadError(reason=UploadErrorReason.CREDENTIALS_REFUSED, message="may not delete")
    ends(rig, name, RemovalResult(error=refused).model_dump_json(by_alias=True))
    await rig.reconcile_capture()
    assert not exists(rig)
    [message] = events(rig, "ClipLeftBehind")
    assert URL in message
    assert "CredentialsRefused: may not delete" in message


async def test_a_clip_that_stays_stays_in_the_bucket_too(rig: Rig) -> None:
    await uploaded(rig, deletionPolicy="Retain")
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    assert not exists(rig)
    assert removal(rig) is None


async def test_what_was_begun_of_an_upload_goes_though_it_was_never_verified(rig: Rig) -> None:
    await uploading(rig, deletionPolicy="Delete")
    await deleting(rig)
    name = removal(rig)
    assert name is not None
    ends(rig, name, RemovalResult(not_ours=(KEY,)).model_dump_json(by_alias=True), condition="Complete")
    await rig.reconcile_capture()
    assert not exists(rig)
    assert events(rig, "ClipLeftBehind") == [], "it has never been there: the object is another's"


async def test_an_install_that_has_no_bucket_any_more_says_what_it_leaves_there(rig: Rig) -> None:
    await uploaded(rig, deletionPolicy="Delete")
    without = Rig(rig.outside)
    for body in rig.cluster.all_of(CAPTURES):
        without.captures.put(body)
    await without.look()
    await deleting(without)
    assert not exists(without)
    [message] = events(without, "ClipLeftBehind")
    assert URL in message


async def test_an_install_without_a_bucket_makes_no_job_for_it() -> None:
    rig = await ready(Rig(Outside()), deletionPolicy="Delete")
    await deleting(rig)
    assert not exists(rig)
    assert removal(rig) is None

"""A capture from the click to the clip: pinned first, one Job an attempt, the result from its pod."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from replay_operator.api.capture_job import (
    REQUEST_VARIABLE,
    CaptureError,
    CaptureErrorReason,
    CaptureRequest,
    CaptureResult,
)
from replay_operator.api.replaycapture import Clip, Clock
from replay_operator.cluster.gateway import ClusterUnreachable, Conflict
from replay_operator.cluster.resources import BUFFERS, CAPTURES, JOBS
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.controller.keys import Key, Kind
from replay_operator.domain.capture_timing import tail_limit
from replay_operator.domain.egress import EgressState
from tests.builders import BUFFER_UID, CAPTURE_UID, NAMESPACE, at, rfc3339
from tests.contract.rig import Rig

CLIP = Clip(
    path="team/shared/2026-11-23/goal-cafecafe.mp4",
    bytes=1000,
    milliseconds=10_000,
    start=at(3),
    end=at(13),
    segments=2,
    runs=1,
    clock=Clock.STARTED_AT,
)
DONE = CaptureResult(capture_uid=CAPTURE_UID, clip=CLIP).model_dump_json(by_alias=True)


def failed(reason: CaptureErrorReason) -> str:
    error = CaptureError(reason=reason, message="it went wrong")
    return CaptureResult(capture_uid=CAPTURE_UID, error=error).model_dump_json(by_alias=True)


@pytest.fixture
async def asked(rig: Rig) -> Rig:
    """A buffer that records for 13 s, and a capture of its last 10 s that nobody has looked at."""
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    rig.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    return rig


async def until_cutting(rig: Rig) -> None:
    await rig.reconcile_capture()
    await rig.policy.publish()
    rig.clock.go_on(13)
    rig.segments_arrive()
    await rig.look()
    await rig.reconcile_capture()
    assert rig.capture_reason == "Cutting"


async def test_the_range_is_resolved_and_a_time_promised_before_anything_else(asked: Rig) -> None:
    assert await asked.reconcile_capture() == 0
    status = asked.capture.status
    assert status.range is not None
    assert (status.range.start, status.range.end) == (at(3), at(13))
    assert status.source is not None
    assert (status.source.buffer_uid, status.source.path) == (BUFFER_UID, f"{NAMESPACE}/{BUFFER_UID}")
    assert status.expected_ready_time is not None
    assert asked.job_names == []


async def test_no_job_is_made_before_the_agent_holds_the_range(asked: Rig) -> None:
    await asked.reconcile_capture()
    asked.agent.away = True
    with pytest.raises(AgentUnavailable):
        await asked.policy.publish()
    await asked.seconds_pass(60)
    await asked.reconcile_capture()
    assert asked.capture_reason == "WaitingForPin"
    assert asked.job_names == []

    asked.agent.away = False
    await asked.policy.publish()
    assert asked.agent.pinned() == {CAPTURE_UID}
    assert Key(Kind.CAPTURE, CAPTURE_UID) in await asked.woken(), "who waits for its pin is told"
    await asked.look()
    await asked.reconcile_capture()
    assert len(asked.job_names) == 1


async def test_the_job_is_made_once_the_last_instant_is_on_disk(asked: Rig) -> None:
    await asked.reconcile_capture()
    await asked.policy.publish()
    delay = await asked.reconcile_capture()
    assert asked.capture_reason == "WaitingForTail"
    assert asked.job_names == []
    assert delay is not None
    assert 0 < delay < 20
    asked.clock.go_on(7.1)
    asked.segments_arrive()
    await asked.look()
    await asked.reconcile_capture()
    assert len(asked.job_names) == 1


async def test_the_job_is_asked_for_exactly_the_resolved_range(asked: Rig) -> None:
    await until_cutting(asked)
    (job,) = asked.cluster.all_of(JOBS)
    (variable,) = job["spec"]["template"]["spec"]["initContainers"][0]["env"]
    assert variable["name"] == REQUEST_VARIABLE
    request = CaptureRequest.model_validate_json(variable["value"])
    assert (request.capture_uid, request.attempt) == (CAPTURE_UID, 1)
    assert (request.start, request.end) == (at(3), at(13))
    assert request.buffer_directory == f"/buffer/{NAMESPACE}/{BUFFER_UID}"
    assert request.clip_path == "team/shared/2026-11-23/goal-cafecafe.mp4"
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("ReplayCapture", CAPTURE_UID)


async def test_a_capture_that_waits_for_its_job_costs_no_write_and_no_question(asked: Rig) -> None:
    await until_cutting(asked)
    asked.jobs.put(asked.cluster.all_of(JOBS)[0])
    calls = len(asked.cluster.calls)
    for _ in range(5):
        asked.clock.go_on(1)
        await asked.reconcile_capture()
    assert len(asked.cluster.calls) == calls


async def test_the_clip_comes_from_the_termination_message(asked: Rig) -> None:
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    assert asked.capture_reason == "ClipReady"
    assert asked.capture.status.clip == CLIP
    assert asked.metrics.registry.get_sample_value("replay_buffer_captures_total") == 1


async def test_a_clip_is_ready_as_soon_as_it_is_published_and_its_extras_follow(asked: Rig) -> None:
    await until_cutting(asked)
    name = asked.job_names[0]
    await asked.woken()
    asked.pod_tells(name, DONE)
    assert await asked.woken() == {Key(Kind.CAPTURE, CAPTURE_UID)}
    await asked.reconcile_capture()
    assert asked.capture_reason == "ClipReady"
    assert asked.capture.status.clip == CLIP
    await asked.policy.publish()
    assert asked.agent.pinned() == set(), "the segments are no longer needed"

    with_extras = CLIP.model_copy(update={"sha256": "0" * 64, "thumbnail": "goal.jpg"})
    told = CaptureResult(capture_uid=CAPTURE_UID, clip=with_extras).model_dump_json(by_alias=True)
    asked.job_ends(name, condition="Complete", message=told)
    await asked.reconcile_capture()
    assert asked.capture.status.clip == with_extras
    assert asked.capture_status_writes == 4
    await asked.reconcile_capture()
    assert asked.capture_status_writes == 4


async def test_a_clip_stays_ready_when_its_extras_fail(asked: Rig) -> None:
    await until_cutting(asked)
    name = asked.job_names[0]
    asked.pod_tells(name, DONE)
    await asked.reconcile_capture()
    asked.job_ends(name, condition="Failed", message=DONE)
    await asked.reconcile_capture()
    assert (asked.capture_reason, asked.capture.status.clip) == ("ClipReady", CLIP)
    assert asked.job_names == [name]


async def test_a_failure_that_a_pod_tells_of_is_left_to_its_job(asked: Rig) -> None:
    await until_cutting(asked)
    await asked.woken()
    asked.pod_tells(asked.job_names[0], failed(CaptureErrorReason.ARCHIVE_FULL))
    assert await asked.woken() == set()
    await asked.reconcile_capture()
    assert asked.capture_reason == "Cutting"


async def test_three_status_writes_bring_a_capture_to_its_clip(asked: Rig) -> None:
    """Range resolved, Job made, clip ready."""
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    assert asked.capture_status_writes == 3


async def test_a_finished_capture_causes_no_call_at_all(asked: Rig) -> None:
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    calls, lists = len(asked.cluster.calls), asked.livekit.lists
    policies = len(asked.agent.policies)
    for rig in (asked, asked.restarted()):
        assert await rig.reconcile_capture() is None
    assert len(asked.cluster.calls) == calls
    assert (asked.livekit.lists, len(asked.agent.policies)) == (lists, policies)


async def test_a_finished_capture_lets_its_pin_go(asked: Rig) -> None:
    await until_cutting(asked)
    assert asked.agent.pinned() == {CAPTURE_UID}
    asked.job_ends(asked.job_names[0], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    await asked.policy.publish()
    assert asked.agent.pinned() == set()


async def test_a_job_that_exists_already_is_gone_on_with(asked: Rig) -> None:
    await asked.reconcile_capture()
    await asked.policy.publish()
    asked.clock.go_on(13)
    asked.segments_arrive()
    await asked.look()
    asked.cluster.away_for = {"patch replaycaptures"}  # the status that names the Job is lost
    with pytest.raises(ClusterUnreachable):
        await asked.reconcile_capture()
    asked.cluster.away_for = set()
    await asked.reconcile_capture()
    assert len(asked.job_names) == 1
    assert asked.capture_reason == "Cutting"
    assert [call.verb for call in asked.cluster.writes_of("jobs")] == ["create", "create"]


async def test_a_decision_about_an_old_version_of_a_capture_is_not_written(asked: Rig) -> None:
    behind = asked.restarted()
    await behind.look()
    await asked.reconcile_capture()
    with pytest.raises(Conflict):  # the queue tries again, by when the watch has told
        await behind.reconcile_capture()
    assert asked.capture_status_writes == 2
    assert asked.capture_reason == "WaitingForPin"


async def test_an_attempt_that_may_succeed_next_time_is_made_again_under_another_name(asked: Rig) -> None:
    await until_cutting(asked)
    (first,) = asked.job_names
    asked.job_ends(first, condition="Failed", message=failed(CaptureErrorReason.BUFFER_UNREADABLE))
    await asked.reconcile_capture()
    assert len(asked.job_names) == 2
    assert asked.capture.status.job is not None
    assert asked.capture.status.job.attempts == 2
    assert asked.capture.status.job.name == asked.job_names[1]
    asked.job_ends(asked.job_names[1], condition="Complete", message=DONE)
    await asked.reconcile_capture()
    assert asked.capture_reason == "ClipReady"


async def test_an_error_that_another_attempt_cannot_cure_ends_the_capture(asked: Rig) -> None:
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Failed", message=failed(CaptureErrorReason.NO_MEDIA))
    await asked.reconcile_capture()
    assert asked.capture_reason == "NoMedia"
    assert len(asked.job_names) == 1
    errors = asked.metrics.registry.get_sample_value(
        "replay_buffer_capture_errors_total", {"error_type": "NoMedia"}
    )
    assert errors == 1


@pytest.mark.parametrize("message", [None, "Killed", json.dumps({"captureUid": "somebody else's"})])
async def test_a_job_that_ended_without_our_result_leads_to_the_next_attempt(
    asked: Rig, message: str | None
) -> None:
    await until_cutting(asked)
    asked.job_ends(asked.job_names[0], condition="Failed", message=message)
    await asked.reconcile_capture()
    assert asked.capture.status.job is not None
    assert asked.capture.status.job.attempts == 2
    assert len(asked.job_names) == 2


async def test_attempts_are_bounded(asked: Rig) -> None:
    await until_cutting(asked)
    for number in range(3):
        asked.job_ends(asked.job_names[number], condition="Failed", message=None)
        await asked.reconcile_capture()
    assert asked.capture_reason == "JobFailed"
    assert len(asked.job_names) == 3


async def test_a_job_that_somebody_deleted_is_made_again(asked: Rig) -> None:
    await until_cutting(asked)
    (name,) = asked.job_names
    asked.jobs.drop(asked.cluster.stored(JOBS, NAMESPACE, name))
    asked.cluster.remove(JOBS, NAMESPACE, name)
    await asked.reconcile_capture()
    assert asked.job_names == [name]


async def test_a_capture_outlives_its_buffer(asked: Rig) -> None:
    await asked.reconcile_capture()
    await asked.policy.publish()
    asked.user_deletes_buffer()
    await asked.policy.publish()
    assert asked.agent.pinned() == {CAPTURE_UID}
    await asked.reconcile_capture()
    assert len(asked.job_names) == 1


async def test_a_capture_of_a_buffer_that_is_not_there_waits_for_it(rig: Rig) -> None:
    await rig.look()
    rig.user_creates_capture()
    delay = await rig.reconcile_capture()
    assert rig.capture_reason == "WaitingForBuffer"
    assert delay == 300
    rig.user_creates_buffer()
    await rig.reconcile_capture()
    assert rig.capture_reason == "WaitingForPin"


async def test_a_capture_that_is_being_deleted_is_left_alone(asked: Rig) -> None:
    body = asked.cluster.stored(CAPTURES, NAMESPACE, "goal")
    body["metadata"]["deletionTimestamp"] = rfc3339(at(13))
    asked.captures.put(asked.cluster.add(CAPTURES, body))
    calls = len(asked.cluster.calls)
    assert await asked.reconcile_capture() is None
    assert len(asked.cluster.calls) == calls


async def test_a_namesake_of_the_buffer_does_not_take_its_place(asked: Rig) -> None:
    await asked.reconcile_capture()
    await asked.policy.publish()
    asked.user_deletes_buffer()
    other = "0ther000-0000-4000-8000-000000000009"
    asked.user_creates_buffer(uid=other)
    await asked.reconcile_capture()
    (job,) = asked.cluster.all_of(JOBS)
    request = CaptureRequest.model_validate_json(
        job["spec"]["template"]["spec"]["initContainers"][0]["env"][0]["value"]
    )
    assert request.buffer_directory == f"/buffer/{NAMESPACE}/{BUFFER_UID}"
    assert {body["metadata"]["uid"] for body in asked.cluster.all_of(BUFFERS)} == {other}


async def test_the_first_segment_of_a_buffer_that_is_starting_is_awaited(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.look()
    await rig.reconcile_buffer()
    rig.clock.go_on(5)
    rig.user_creates_capture(range={"last": {"seconds": 3, "until": rfc3339(rig.clock.now)}})
    await rig.reconcile_capture()
    await rig.policy.publish()
    assert rig.buffer_reason == "Starting"
    await rig.reconcile_capture()
    assert rig.capture_reason == "WaitingForTail"
    assert rig.job_names == []

    rig.clock.go_on(17)
    await rig.reconcile_capture()
    assert len(rig.job_names) == 1, "it waits no longer than a segment can take"


@pytest.mark.parametrize("ended", ["suspended", "source gone"])
async def test_the_job_of_a_buffer_that_has_just_stopped_is_made_at_once_and_waits_for_what_is_on_its_way(
    rig: Rig, ended: str
) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    if ended == "suspended":
        body = rig.cluster.stored(BUFFERS, NAMESPACE, "alice-screen")
        body["spec"]["suspend"] = True
        rig.buffers.put(rig.cluster.add(BUFFERS, body))
    else:
        rig.livekit.rooms.clear()
        egress = rig.livekit.egresses["EG_1"]
        # Recorded: it is ENDING for two seconds, in which half of its segments come to the disk.
        closed = replace(egress, state=EgressState.ENDING, details="End reason: Source closed")
        rig.livekit.egresses["EG_1"] = closed
        rig.clock.go_on(0.3)
        await rig.look()
    await rig.reconcile_buffer()
    left = rig.clock.now
    rig.user_creates_capture(range={"last": {"seconds": 3, "until": rfc3339(left)}})
    await rig.reconcile_capture()
    await rig.policy.publish()
    await rig.reconcile_capture()
    (job,) = rig.cluster.all_of(JOBS)
    (request,) = job["spec"]["template"]["spec"]["initContainers"][0]["env"]
    assert json.loads(request["value"])["waitUntil"] == rfc3339(tail_limit(left, 6))


async def test_a_capture_that_wants_a_flush_gets_it_from_its_buffer(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=14400, segmentSeconds=10)
    await rig.bring_up()
    moment = {"last": {"seconds": 10, "until": rfc3339(rig.clock.now)}}
    rig.user_creates_capture(range=moment, tail="Flush")
    await rig.reconcile_capture()
    await rig.policy.publish()
    await rig.reconcile_capture()
    assert Key(Kind.BUFFER, BUFFER_UID) in await rig.woken()
    await rig.reconcile_buffer()
    assert (len(rig.livekit.starts), rig.livekit.stops) == (2, [])
    rig.clock.go_on(0.5)
    rig.livekit.frames_flow()
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.livekit.stops == [], "the next run has just begun"
    rig.clock.go_on(1)
    await rig.look()
    await rig.reconcile_buffer()
    assert rig.livekit.stops == ["EG_1"]
    assert rig.buffer_reason == "Recording"


async def test_a_capture_that_is_deleted_takes_its_wish_for_a_flush_along(rig: Rig) -> None:
    rig.user_creates_buffer(windowSeconds=14400, segmentSeconds=10)
    await rig.bring_up()
    rig.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(rig.clock.now)}}, tail="Flush")
    await rig.reconcile_capture()
    await rig.reconcile_capture()
    rig.captures.drop(CAPTURE_UID)
    await rig.reconcile_capture()
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == 1

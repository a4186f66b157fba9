"""The end of captures: their Jobs, their time to live, their clip when it goes with them."""

from __future__ import annotations

import pytest

from replay_operator.api.meta import find_condition
from replay_operator.cluster.gateway import Conflict
from replay_operator.cluster.resources import CAPTURES, EVENTS, JOBS
from replay_operator.controller.keys import Key, Kind
from replay_operator.domain.capture_end import FINALIZER
from replay_operator.domain.capture_timing import tail_due
from tests.builders import CAPTURE_UID, NAMESPACE, at, rfc3339
from tests.contract.fake_cluster import Call
from tests.contract.rig import Rig
from tests.contract.test_capture_flow import CLIP, DONE

RANGE = {"between": {"start": rfc3339(at(3)), "end": rfc3339(at(13))}}
TIMEOUT_SECONDS = 300


async def recording(rig: Rig) -> Rig:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    return rig


async def cutting(rig: Rig, **spec: object) -> Rig:
    await recording(rig)
    rig.user_creates_capture(range=RANGE, **spec)
    await rig.reconcile_capture()
    await rig.policy.publish()
    rig.clock.go_on(20)
    rig.segments_arrive()
    await rig.look()
    await rig.reconcile_capture()
    assert rig.capture_reason == "Cutting"
    return rig


async def ready(rig: Rig, **spec: object) -> Rig:
    await cutting(rig, **spec)
    rig.job_ends(rig.job_names[0], condition="Complete", message=DONE)
    await rig.reconcile_capture()
    assert rig.capture_reason == "ClipReady"
    return rig


def exists(rig: Rig) -> bool:
    return any(body["metadata"]["name"] == "goal" for body in rig.cluster.all_of(CAPTURES))


def events(rig: Rig, reason: str) -> list[str]:
    return [event["message"] for event in rig.cluster.all_of(EVENTS) if event["reason"] == reason]


def mark(rig: Rig, **meta: dict[str, str]) -> None:
    body = rig.cluster.stored(CAPTURES, NAMESPACE, "goal")
    body["metadata"] |= meta
    rig.captures.put(rig.cluster.add(CAPTURES, body))


# --- Jobs


async def test_a_job_gets_its_time_to_live_when_its_result_is_in_the_status_and_not_before(rig: Rig) -> None:
    await cutting(rig)
    name = rig.job_names[0]
    assert "ttlSecondsAfterFinished" not in rig.cluster.stored(JOBS, NAMESPACE, name)["spec"]
    rig.job_ends(name, condition="Complete", message=DONE)
    rig.cluster.calls.clear()
    await rig.reconcile_capture()
    assert rig.cluster.stored(JOBS, NAMESPACE, name)["spec"]["ttlSecondsAfterFinished"] == 3600
    writes = [call for call in rig.cluster.writes if call.plural != "events"]
    assert writes == [Call("patch", "replaycaptures", "goal"), Call("patch", "jobs", name)]
    await rig.reconcile_capture()
    assert [call for call in rig.cluster.writes if call.plural != "events"] == writes


async def test_a_crash_before_the_jobs_time_to_live_is_made_up_for(rig: Rig) -> None:
    await cutting(rig)
    name = rig.job_names[0]
    rig.job_ends(name, condition="Complete", message=DONE)
    rig.cluster.away_for = {"patch jobs"}
    with pytest.raises(Exception, match="no answer"):
        await rig.reconcile_capture()
    rig.cluster.away_for = set()
    assert rig.capture_reason == "ClipReady"
    new = rig.restarted()
    await new.look()
    await new.reconcile_capture()
    assert new.cluster.stored(JOBS, NAMESPACE, name)["spec"]["ttlSecondsAfterFinished"] == 3600


# --- time to live


async def test_a_capture_does_not_expire_while_its_job_adds_the_extras(rig: Rig) -> None:
    await cutting(rig, ttlSecondsAfterFinished=60)
    name = rig.job_names[0]
    rig.pod_tells(name, DONE)
    await rig.reconcile_capture()
    rig.clock.go_on(61)
    assert await rig.reconcile_capture() == 2
    assert exists(rig)
    rig.job_ends(name, condition="Complete", message=DONE)
    await rig.reconcile_capture()
    assert not exists(rig)


async def test_a_finished_capture_is_deleted_when_its_time_is_over_and_its_clip_stays(rig: Rig) -> None:
    await ready(rig, ttlSecondsAfterFinished=60)
    delay = await rig.reconcile_capture()
    assert delay == 60
    rig.clock.go_on(59)
    await rig.reconcile_capture()
    assert exists(rig)
    rig.clock.go_on(1)
    await rig.reconcile_capture()
    assert not exists(rig)
    assert rig.agent.deleted_clips == []


async def test_the_time_to_live_goes_on_over_a_restart_without_a_write(rig: Rig) -> None:
    await ready(rig, ttlSecondsAfterFinished=60)
    rig.clock.go_on(20)
    new = rig.restarted()
    await new.look()
    writes = len(new.cluster.writes)
    assert await new.reconcile_capture() == 40
    assert len(new.cluster.writes) == writes


async def test_a_capture_that_has_changed_since_it_was_read_is_not_deleted(rig: Rig) -> None:
    await ready(rig, ttlSecondsAfterFinished=60)
    body = rig.cluster.stored(CAPTURES, NAMESPACE, "goal")
    body["spec"]["ttlSecondsAfterFinished"] = 9000
    rig.cluster.add(CAPTURES, body)  # and the watch has not told yet
    rig.clock.go_on(61)
    with pytest.raises(Conflict):
        await rig.reconcile_capture()
    assert exists(rig)


async def test_a_capture_that_gitops_tracks_is_held_with_one_write_and_one_event(rig: Rig) -> None:
    await ready(rig, ttlSecondsAfterFinished=60)
    mark(rig, annotations={"argocd.argoproj.io/tracking-id": "app:replaybuffer.dev/ReplayCapture:team/goal"})
    rig.clock.go_on(61)
    before = rig.capture_status_writes
    for process in (rig, rig, rig.restarted()):
        await process.look()
        await process.reconcile_capture()
    assert exists(rig)
    held = find_condition(rig.capture.status.conditions, "TTLExpired")
    assert held is not None
    assert held.reason == "TTLHeld"
    assert rig.capture_status_writes == before + 1
    (message,) = events(rig, "TTLHeld")
    assert "argocd.argoproj.io/tracking-id" in message
    assert rig.capture_reason == "ClipReady"


# --- the clip that goes with its capture


async def test_a_finalizer_is_there_from_the_first_visit_on_if_the_clip_is_to_go(rig: Rig) -> None:
    await recording(rig)
    rig.user_creates_capture(range=RANGE, deletionPolicy="Delete")
    await rig.reconcile_capture()
    assert rig.capture.metadata.finalizers == (FINALIZER,)
    assert rig.capture_reason == "WaitingForPin"


async def test_without_the_policy_no_capture_is_written_to_but_for_its_status(rig: Rig) -> None:
    await ready(rig)
    assert rig.capture.metadata.finalizers == ()


async def test_the_finalizer_follows_the_policy_also_after_the_end(rig: Rig) -> None:
    await ready(rig)
    for policy, wanted in (("Delete", (FINALIZER,)), ("Retain", ())):
        rig.user_changes_capture(deletionPolicy=policy)
        await rig.reconcile_capture()
        assert rig.capture.metadata.finalizers == wanted
        assert rig.capture.status.observed_generation == rig.capture.metadata.generation


async def test_a_capture_with_its_clip_goes_only_after_the_agent_has_deleted_the_clip(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete")
    rig.agent.away = True
    await rig.user_deletes_capture()
    assert await rig.reconcile_capture() is not None, "its Job is ended first"
    assert rig.job_names, "it goes when its pod has"
    rig.cluster.remove(JOBS, NAMESPACE, rig.job_names[0])
    assert await rig.reconcile_capture() is not None
    assert exists(rig)
    rig.agent.away = False
    assert await rig.reconcile_capture() is None
    assert not exists(rig)
    (deletion,) = rig.agent.deleted_clips
    assert (deletion.path, deletion.capture_uid) == (CLIP.path, CAPTURE_UID)
    assert events(rig, "ClipLeftBehind") == []


async def test_a_job_that_still_runs_is_ended_before_its_clip_is_deleted(rig: Rig) -> None:
    await cutting(rig, deletionPolicy="Delete")
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    (job,) = rig.cluster.all_of(JOBS)
    assert job["metadata"]["finalizers"] == ["foregroundDeletion"], "the Job goes after its pods"
    assert rig.agent.deleted_clips == []
    calls = len(rig.cluster.writes)
    await rig.reconcile_capture()
    assert len(rig.cluster.writes) == calls, "it is deleted once"
    rig.cluster.remove(JOBS, NAMESPACE, job["metadata"]["name"])
    await rig.reconcile_capture()
    assert [deletion.path for deletion in rig.agent.deleted_clips] == [
        "team/shared/2026-11-23/goal-cafecafe.mp4"
    ]
    assert not exists(rig)


async def test_a_capture_that_never_had_a_range_has_no_clip_to_delete(rig: Rig) -> None:
    await rig.look()
    rig.user_creates_capture(deletionPolicy="Delete")
    await rig.reconcile_capture()
    assert rig.capture_reason == "WaitingForBuffer"
    await rig.user_deletes_capture()
    assert await rig.reconcile_capture() is None
    assert not exists(rig)
    assert rig.agent.deleted_clips == []


async def test_a_deletion_ends_in_time_and_names_what_is_left(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete")
    rig.cluster.remove(JOBS, NAMESPACE, rig.job_names[0])
    rig.agent.away = True
    await rig.user_deletes_capture()
    rig.clock.go_on(TIMEOUT_SECONDS - 1)
    assert await rig.reconcile_capture() is not None
    rig.clock.go_on(1)
    await rig.reconcile_capture()
    assert not exists(rig)
    (message,) = events(rig, "ClipLeftBehind")
    assert CLIP.path in message


async def test_a_file_that_is_not_this_captures_clip_is_left_and_told(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete")
    rig.cluster.remove(JOBS, NAMESPACE, rig.job_names[0])
    rig.agent.refused_clip = "it belongs to another capture"
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    assert not exists(rig)
    (message,) = events(rig, "ClipLeftBehind")
    assert "belongs to another capture" in message


async def test_whoever_changes_their_mind_while_it_is_deleted_keeps_the_clip(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete")
    rig.agent.away = True
    await rig.user_deletes_capture()
    rig.user_changes_capture(deletionPolicy="Retain")
    await rig.reconcile_capture()
    assert not exists(rig)
    assert rig.agent.deleted_clips == []


async def test_a_deletion_goes_on_after_a_restart(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete")
    rig.cluster.remove(JOBS, NAMESPACE, rig.job_names[0])
    await rig.user_deletes_capture()
    new = rig.restarted()
    await new.look()
    assert Key(Kind.CAPTURE, CAPTURE_UID) in await new.woken()
    await new.reconcile_capture()
    assert not exists(new)
    assert len(new.agent.deleted_clips) == 1


async def test_expiry_with_the_clip_takes_the_same_way(rig: Rig) -> None:
    await ready(rig, deletionPolicy="Delete", ttlSecondsAfterFinished=0)
    rig.watch_tells_capture()
    rig.cluster.remove(JOBS, NAMESPACE, rig.job_names[0])
    await rig.reconcile_capture()
    assert not exists(rig)
    assert len(rig.agent.deleted_clips) == 1


# --- cancel


async def test_a_capture_that_is_deleted_while_it_waits_pins_nothing_any_more(rig: Rig) -> None:
    await recording(rig)
    rig.user_creates_capture(range=RANGE, deletionPolicy="Delete")
    await rig.reconcile_capture()
    await rig.policy.publish()
    assert rig.agent.pinned() == {CAPTURE_UID}
    rig.agent.away = True
    await rig.user_deletes_capture()
    await rig.reconcile_capture()
    rig.agent.away = False
    await rig.policy.publish()
    assert rig.agent.pinned() == set()


# --- late ends


async def test_an_end_in_the_future_is_waited_for_without_a_call_also_by_a_new_process(rig: Rig) -> None:
    await recording(rig)
    between = {"between": {"start": rfc3339(at(0)), "end": rfc3339(at(613))}}
    rig.user_creates_capture(range=between)
    await rig.reconcile_capture()
    await rig.policy.publish()
    delay = await rig.reconcile_capture()
    assert rig.capture_reason == "WaitingForTail"
    assert delay is not None
    assert 590 < delay < 630
    rig.clock.go_on(300)
    rig.segments_arrive()
    await rig.woken()
    await rig.operator.coverage.refresh()
    assert Key(Kind.CAPTURE, CAPTURE_UID) not in await rig.woken(), "the agent's word is not for it yet"
    new = rig.restarted()
    await new.look()
    calls = len(new.cluster.calls)
    await new.reconcile_capture()
    await new.policy.publish()
    again = await new.reconcile_capture()
    assert len(new.cluster.calls) == calls
    assert again is not None
    assert again < delay - 290
    looks = 0
    while again is not None and not new.job_names:
        new.clock.go_on(again)
        new.segments_arrive()
        await new.look()
        again = await new.reconcile_capture()
        looks += 1
    assert looks <= 3
    assert new.clock.now < tail_due(at(613), 6)


async def test_the_rest_of_a_range_is_not_waited_for_when_its_buffer_is_deleted(rig: Rig) -> None:
    await recording(rig)
    between = {"between": {"start": rfc3339(at(0)), "end": rfc3339(at(613))}}
    rig.user_creates_capture(range=between)
    await rig.reconcile_capture()
    await rig.policy.publish()
    rig.user_deletes_buffer()
    await rig.reconcile_capture()
    assert len(rig.job_names) == 1


async def test_an_unknown_buffer_of_a_new_process_is_not_a_missing_one(rig: Rig) -> None:
    await recording(rig)
    rig.user_creates_capture(range={"between": {"start": rfc3339(at(0)), "end": rfc3339(at(60))}})
    await rig.reconcile_capture()
    await rig.policy.publish()
    new = Rig(rig.outside)
    new.captures.put(new.cluster.stored(CAPTURES, NAMESPACE, "goal"))
    await new.reconcile_capture()
    assert new.job_names == []

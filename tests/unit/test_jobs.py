"""The capture Job as it is built, and as it is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from replay_operator.api.capture_job import (
    EXIT_CODES,
    REQUEST_VARIABLE,
    CaptureErrorReason,
    CaptureRequest,
    CaptureResult,
    ExitCode,
)
from replay_operator.cluster.jobs import (
    CAPTURE_PODS,
    CAPTURE_UID_LABEL,
    JobPhase,
    JobSettings,
    is_left_over,
    job_body,
    job_phase,
    termination_result,
)
from replay_operator.controller.jobs import JobStore
from tests.builders import CAPTURE_UID, NOW, at, capture

Json = dict[str, Any]

JOB_SETTINGS = JobSettings(
    image="registry.example/replay-operator:1",
    buffer_claim="replay-buffers",
    archive_claim="replay-archive",
    service_account="replay-capture",
    deadline_seconds=1800,
    retries=2,
    beside_agent=False,
)
REQUEST = CaptureRequest(
    capture_uid=CAPTURE_UID,
    buffer_directory="/buffer/team/b",
    start=at(-60),
    end=NOW,
    archive_directory="/archive",
    clip_path="team/shared/2026-11-23/goal-cafecafe.mp4",
    title='Goal; $(reboot) "quoted"',
)


def body(**settings: Any) -> Json:
    return job_body(capture().metadata, REQUEST, replace(JOB_SETTINGS, **settings))


def pod_spec(job: Json) -> Json:
    spec: Json = job["spec"]["template"]["spec"]
    return spec


def container(job: Json) -> Json:
    """The one that makes the clip."""
    (first,) = pod_spec(job)["initContainers"]
    return dict(first)


def extras(job: Json) -> Json:
    (second,) = pod_spec(job)["containers"]
    return dict(second)


def test_the_request_travels_unchanged_and_never_through_a_shell() -> None:
    (variable,) = container(body())["env"]
    assert variable["name"] == REQUEST_VARIABLE
    assert CaptureRequest.model_validate_json(variable["value"]) == REQUEST
    assert container(body())["args"] == ["capture", "--only", "clip"]
    assert extras(body())["args"] == ["capture", "--only", "extras"]
    assert extras(body())["env"] == container(body())["env"]
    assert "command" not in container(body())


def test_the_pod_may_not_touch_the_buffer_or_the_api_server() -> None:
    spec, mounts = pod_spec(body()), container(body())["volumeMounts"]
    assert next(m for m in mounts if m["name"] == "buffer")["readOnly"] is True
    assert next(v for v in spec["volumes"] if v["name"] == "buffer")["persistentVolumeClaim"] == {
        "claimName": "replay-buffers",
        "readOnly": True,
    }
    assert spec["automountServiceAccountToken"] is False
    assert container(body())["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_job_belongs_to_its_capture_and_can_be_watched_by_its_label() -> None:
    meta = body()["metadata"]
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ReplayCapture", CAPTURE_UID, True)
    assert meta["labels"][CAPTURE_UID_LABEL] == CAPTURE_UID
    assert body()["spec"]["template"]["metadata"]["labels"][CAPTURE_UID_LABEL] == CAPTURE_UID


def test_a_failure_that_another_try_cannot_cure_ends_the_job() -> None:
    rule, _ = body()["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [ExitCode.REFUSED])
    assert rule["onExitCodes"]["containerName"] == container(body())["name"]


def test_a_job_goes_to_the_agents_node_only_when_the_volume_serves_one_node() -> None:
    assert "affinity" not in pod_spec(body())
    (term,) = pod_spec(body(beside_agent=True))["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["topologyKey"] == "kubernetes.io/hostname"


def test_each_attempt_has_a_job_of_its_own() -> None:
    second = job_body(capture().metadata, REQUEST.model_copy(update={"attempt": 2}), JOB_SETTINGS)
    assert second["metadata"]["name"] != body()["metadata"]["name"]


def job(*conditions: tuple[str, str]) -> Json:
    return {
        "metadata": {"name": "j"},
        "status": {
            "conditions": [
                {"type": type_, "status": status, "reason": "DeadlineExceeded", "message": "too long"}
                for type_, status in conditions
            ]
        },
    }


@pytest.mark.parametrize(
    ("seen", "phase", "message"),
    [
        (None, JobPhase.ABSENT, ""),
        ({"metadata": {"name": "j"}}, JobPhase.RUNNING, ""),
        (job(), JobPhase.RUNNING, ""),
        (job(("SuccessCriteriaMet", "True")), JobPhase.RUNNING, ""),
        (job(("FailureTarget", "True")), JobPhase.RUNNING, ""),
        (job(("Complete", "False")), JobPhase.RUNNING, ""),
        (job(("SuccessCriteriaMet", "True"), ("Complete", "True")), JobPhase.SUCCEEDED, ""),
        (job(("FailureTarget", "True"), ("Failed", "True")), JobPhase.FAILED, "DeadlineExceeded: too long"),
    ],
)
def test_only_a_final_condition_ends_a_job(seen: Json | None, phase: JobPhase, message: str) -> None:
    assert job_phase(seen) == (phase, message)


def test_the_watch_of_the_fleet_delivers_the_pods_of_captures_whatever_its_label() -> None:
    labels = body(fleet_label="app")["spec"]["template"]["metadata"]["labels"]
    assert (labels["app"], labels[CAPTURE_UID_LABEL]) == (CAPTURE_PODS, CAPTURE_UID)


def pod(message: str | None, *, finished: str = "2026-11-23T12:00:05Z") -> Json:
    ended: Json = {"exitCode": 0, "finishedAt": finished}
    if message is not None:
        ended["message"] = message
    return {"status": {"initContainerStatuses": [{"name": "capture", "state": {"terminated": ended}}]}}


def result(reason: str = "NoMedia", uid: str = CAPTURE_UID) -> str:
    return json.dumps({"captureUid": uid, "error": {"reason": reason, "message": "m"}})


def reason_of(found: CaptureResult | None) -> str | None:
    return found.error.reason if found is not None and found.error is not None else None


def test_the_newest_result_of_several_pods_counts() -> None:
    pods = (
        pod(result("Internal"), finished="2026-11-23T12:00:01Z"),
        pod(result("NoMedia"), finished="2026-11-23T12:00:09Z"),
        pod(result("JoinFailed"), finished="2026-11-23T12:00:05Z"),
    )
    assert reason_of(termination_result(pods, CAPTURE_UID)) == "NoMedia"


def test_a_pod_that_was_killed_after_another_had_told_does_not_hide_the_result() -> None:
    pods = (pod(result(), finished="2026-11-23T12:00:01Z"), pod("OOMKilled", finished="2026-11-23T12:00:09Z"))
    assert reason_of(termination_result(pods, CAPTURE_UID)) == "NoMedia"


@pytest.mark.parametrize(
    "pods",
    [
        (),
        ({},),
        ({"status": {}},),
        ({"status": {"initContainerStatuses": [{"name": "capture", "state": {"running": {}}}]}},),
        (pod(None),),
        (pod(""),),
        (pod("not json"),),
        (pod(result()[:40]),),
        (pod(result("AReasonOfANewerVersion")),),
        (pod(result(uid="another capture's")),),
    ],
)
def test_without_a_result_of_this_capture_there_is_none(pods: tuple[Json, ...]) -> None:
    assert termination_result(pods, CAPTURE_UID) is None


def test_an_evicted_pod_does_not_count_as_a_failed_try() -> None:
    _, rule = body()["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_a_job_is_bounded_and_stays_until_its_result_is_written() -> None:
    spec = body(deadline_seconds=77, retries=4)["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (77, 4)
    assert spec["podReplacementPolicy"] == "Failed", "two pods of one attempt would write one .part"
    assert "ttlSecondsAfterFinished" not in spec
    resources = container(body())["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}, "a CPU limit would only make the clip late"


def test_a_job_gets_the_priority_and_the_nodes_that_the_install_wants() -> None:
    plain = pod_spec(body())
    assert "priorityClassName" not in plain
    chosen = pod_spec(body(priority_class="media", node_labels=(("disk", "fast"),), beside_agent=True))
    assert chosen["priorityClassName"] == "media"
    assert chosen["affinity"].keys() == {"podAffinity", "nodeAffinity"}
    (term,) = chosen["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term == {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["fast"]}]}


def test_each_reason_has_an_exit_code_and_only_the_refusals_end_the_job() -> None:
    assert EXIT_CODES.keys() == set(CaptureErrorReason)
    rule, _ = body()["spec"]["podFailurePolicy"]["rules"]
    final = set(rule["onExitCodes"]["values"])
    assert {code for code in EXIT_CODES.values() if code in final} == {ExitCode.REFUSED}
    assert ExitCode.TRY_AGAIN not in final


def seen_job(version: int, *, ended: str | None = None, ttl: int | None = None) -> Json:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    job = body()
    spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
    meta = job["metadata"] | {"resourceVersion": str(version)}
    return {"metadata": meta, "spec": spec, "status": {"conditions": conditions}}


def test_the_store_of_jobs_keeps_what_is_needed_and_names_the_capture() -> None:
    store = JobStore()
    seen = seen_job(7)
    assert store.put(seen) == CAPTURE_UID
    name = seen["metadata"]["name"]
    (kept,) = store.of_capture(CAPTURE_UID)
    assert store.get(name) == kept
    assert "template" not in str(kept), "five thousand pod templates are never looked at"
    assert store.running_captures() == {CAPTURE_UID}
    assert store.drop(seen) == CAPTURE_UID
    assert (store.get(name), store.of_capture(CAPTURE_UID)) == (None, ())


def test_an_older_version_of_a_job_changes_nothing() -> None:
    store = JobStore()
    store.put(seen_job(7, ended="Complete", ttl=60))
    store.put(seen_job(6))
    assert store.running_captures() == frozenset()
    (kept,) = store.of_capture(CAPTURE_UID)
    assert not is_left_over(kept)


@pytest.mark.parametrize("ended", ["Complete", "Failed"])
def test_a_job_is_left_over_from_its_end_until_somebody_has_said_how_long_it_stays(ended: str) -> None:
    assert not is_left_over(seen_job(1))
    assert is_left_over(seen_job(2, ended=ended))
    assert not is_left_over(seen_job(3, ended=ended, ttl=0))


def test_a_job_whose_deletion_no_watch_has_told_keeps_no_place_after_the_next_list() -> None:
    store = JobStore()
    store.put(seen_job(7))
    store.replace_all(())
    assert store.running_captures() == {CAPTURE_UID}, "it may have come while the list was on its way"
    store.replace_all(())
    assert store.running_captures() == frozenset()
    store.replace_all((seen_job(8),))
    assert store.running_captures() == {CAPTURE_UID}


def test_a_job_that_is_not_a_captures_wakes_nobody() -> None:
    store = JobStore()
    assert store.put({"metadata": {"name": "backup"}}) is None
    assert store.drop({"metadata": {"name": "backup", "labels": {}}}) is None

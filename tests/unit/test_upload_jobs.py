"""The upload Job as it is built, and as it is read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from replay_operator.api.upload_job import UPLOAD_REQUEST_VARIABLE, UploadRequest, UploadResult
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL
from replay_operator.cluster.upload_jobs import (
    UploadJobSettings,
    attempt_of,
    is_upload_job,
    upload_job_body,
    upload_result,
)
from tests.builders import CAPTURE_UID, capture
from tests.unit.test_jobs import body as capture_job_body
from tests.unit.test_jobs import pod

Json = dict[str, Any]

UPLOAD_SETTINGS = UploadJobSettings(
    image="registry.example/replay-operator:1",
    archive_claim="replay-archive",
    service_account="replay-upload",
    beside_agent=False,
    deadline_seconds=3600,
)
UPLOAD_REQUEST = UploadRequest(
    capture_uid=CAPTURE_UID,
    archive_directory="/archive",
    clip_path="team/shared/2026-11-23/goal-cafecafe.mp4",
    bytes=10,
    bucket="clips",
    key="team/shared/2026-11-23/goal-cafecafe.mp4",
    endpoint="https://s3.example.com",
    region="us-east-1",
)


def body(attempt: int = 1, **settings: Any) -> Json:
    return upload_job_body(capture().metadata, attempt, UPLOAD_REQUEST, replace(UPLOAD_SETTINGS, **settings))


def pod_spec(job: Json) -> Json:
    spec: Json = job["spec"]["template"]["spec"]
    return spec


def container(job: Json) -> Json:
    [only] = pod_spec(job)["containers"]
    return dict(only)


def variables(job: Json) -> dict[str, Json]:
    return {variable["name"]: variable for variable in container(job)["env"]}


def test_the_request_travels_unchanged_and_never_through_a_shell() -> None:
    told = variables(body())[UPLOAD_REQUEST_VARIABLE]["value"]
    assert UploadRequest.model_validate_json(told) == UPLOAD_REQUEST
    assert container(body())["args"] == ["upload"]
    assert "command" not in container(body())


def test_the_pod_can_only_read_clips_and_sees_no_segments_and_no_api_server() -> None:
    spec = pod_spec(body())
    claims = [v["persistentVolumeClaim"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert claims == [{"claimName": "replay-archive", "readOnly": True}]
    [mount] = [m for m in container(body())["volumeMounts"] if m["name"] == "archive"]
    assert mount["readOnly"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "replay-upload"


def test_credentials_come_from_the_secret_and_are_never_in_the_job() -> None:
    assert variables(body()).keys() == {UPLOAD_REQUEST_VARIABLE}, "a workload identity needs none"
    told = variables(body(credentials_secret="bucket"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        entry = told[name]["valueFrom"]["secretKeyRef"]
        assert (entry["name"], entry["key"]) == ("bucket", name)
        assert entry["optional"] is (name == "AWS_SESSION_TOKEN")
    assert told["AWS_EC2_METADATA_DISABLED"]["value"] == "true"


def test_an_authority_of_ones_own_is_mounted_where_the_variable_points() -> None:
    job = body(ca_config_map="our-ca")
    file = variables(job)["SSL_CERT_FILE"]["value"]
    [mount] = [m for m in container(job)["volumeMounts"] if m["name"] == "bucket-ca"]
    assert file == f"{mount['mountPath']}/ca.crt"
    [volume] = [v for v in pod_spec(job)["volumes"] if v["name"] == "bucket-ca"]
    assert volume["configMap"] == {"name": "our-ca"}


def test_the_job_can_be_watched_beside_the_captures_own_and_told_from_it() -> None:
    labels = body(7)["metadata"]["labels"]
    assert labels[CAPTURE_UID_LABEL] == CAPTURE_UID
    assert (is_upload_job(body()), is_upload_job(capture_job_body())) == (True, False)
    assert attempt_of(body(7)) == 7
    assert body(7)["metadata"]["name"] != body(8)["metadata"]["name"]


def test_an_upload_outlives_its_capture_and_then_goes_by_itself() -> None:
    assert "ownerReferences" not in body()["metadata"]
    assert body(keep_seconds=60)["spec"]["ttlSecondsAfterFinished"] == 60


def test_a_job_is_one_attempt_unless_its_pod_was_evicted() -> None:
    spec = body(deadline_seconds=77)["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 77)
    assert [rule["action"] for rule in spec["podFailurePolicy"]["rules"]] == ["Ignore"]


def test_its_pod_is_not_among_those_that_the_watch_of_the_fleet_delivers() -> None:
    labels = body()["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "replay-upload"


def test_the_longest_name_fits_into_a_label() -> None:
    meta = capture().metadata.model_copy(update={"name": "a.b-" * 60})
    name = upload_job_body(meta, 99_999, UPLOAD_REQUEST, UPLOAD_SETTINGS)["metadata"]["name"]
    assert len(name) <= 63
    assert "." not in name


@pytest.mark.parametrize("spoilt", ["", "-1", "x", "٣"])
def test_a_label_that_somebody_has_spoilt_counts_as_no_attempt(spoilt: str) -> None:
    job = body()
    job["metadata"]["labels"]["replaybuffer.dev/upload-attempt"] = spoilt
    assert attempt_of(job) == 0


def test_an_answer_counts_if_it_is_this_captures_or_of_a_request_that_names_none() -> None:
    def told(uid: str) -> UploadResult | None:
        answer = UploadResult(capture_uid=uid, url="s3://clips/a").model_dump_json(by_alias=True)
        return upload_result((pod("Killed"), pod(answer)), CAPTURE_UID)

    for uid in (CAPTURE_UID, ""):
        found = told(uid)
        assert found is not None
        assert found.capture_uid == CAPTURE_UID
    assert told("another's") is None
    assert upload_result((pod(None),), CAPTURE_UID) is None

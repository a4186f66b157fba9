"""The Job that deletes clips from a bucket, as it is built and read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from replay_operator.api.removal_job import (
    MOST_OBJECTS,
    REMOVAL_REQUEST_VARIABLE,
    RemovableObject,
    RemovalRequest,
)
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL
from replay_operator.cluster.removal_jobs import capture_removal_body, is_removal_job
from replay_operator.cluster.upload_jobs import is_upload_job
from tests.builders import CAPTURE_UID, capture
from tests.unit.test_upload_jobs import UPLOAD_SETTINGS
from tests.unit.test_upload_jobs import body as upload_body

KEY = "team/shared/2026-11-23/goal-cafecafe.mp4"
REQUEST = RemovalRequest(
    bucket="clips",
    endpoint="https://s3.example.com",
    region="us-east-1",
    objects=(RemovableObject(key=KEY, capture_uid=CAPTURE_UID),),
)


def body() -> dict[str, Any]:
    settings = replace(
        UPLOAD_SETTINGS, credentials_secret="bucket", beside_agent=True, node_labels=(("disk", "fast"),)
    )
    return capture_removal_body(capture().metadata, REQUEST, settings, deadline_seconds=300)


def test_a_pod_that_deletes_in_the_bucket_sees_no_volume_and_is_bound_to_no_node() -> None:
    spec = body()["spec"]["template"]["spec"]
    assert not [volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert "affinity" not in spec
    [container] = spec["containers"]
    assert container["args"] == ["upload", "--remove"]
    variables = {v["name"]: v.get("value", "") for v in container["env"]}
    assert RemovalRequest.model_validate_json(variables[REMOVAL_REQUEST_VARIABLE]) == REQUEST
    assert "AWS_SECRET_ACCESS_KEY" in variables


def test_it_is_told_from_other_jobs_of_the_capture_and_wakes_it() -> None:
    assert body()["metadata"]["labels"][CAPTURE_UID_LABEL] == CAPTURE_UID
    assert (is_removal_job(body()), is_upload_job(body())) == (True, False)
    assert not is_removal_job(upload_body())


def test_it_ends_in_time_and_goes_by_itself() -> None:
    spec = body()["spec"]
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (300, 3600)


def test_a_request_has_a_bounded_number_of_objects() -> None:
    one = RemovableObject(key=KEY, capture_uid=CAPTURE_UID)
    with pytest.raises(ValidationError):
        RemovalRequest.model_validate(dict(REQUEST) | {"objects": (one,) * (MOST_OBJECTS + 1)})

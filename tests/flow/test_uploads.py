"""From a recording to a clip in a bucket: a real S3 server, real Jobs, and nothing on the way lost."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bucket.server import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, S3Server, start_s3_server
from tests.flow.conftest import Bed, buffers_of_a_while, capture_object, wait_until_up
from tests.flow.test_record_and_save import wait_for_window
from tests.stack.livekit import secret
from tests.stack.rights import denied, granted, requests_of, used
from tests.stack.stack import Stack
from tests.testbed.children import Children

NAMESPACE = "uploads"
SECRET = "replay-bucket"
WRONG = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": "not-the-secret-that-it-knows"}
RIGHT = WRONG | {"AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture(scope="module")
def server(s3_server_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with Children(tmp_path_factory.mktemp("s3-logs")) as children:
        yield start_s3_server(s3_server_binary, children, tmp_path_factory.mktemp("s3"))


@pytest.fixture(scope="module")
def stack(bed: Bed, server: S3Server) -> Iterator[Stack]:
    """An install that sends its clips to the server, with a Secret that the server does not take."""
    stack = Stack(*bed, NAMESPACE)
    stack.install(
        rooms={},
        settings={
            "REPLAY_UPLOAD_BUCKET": BUCKET,
            "REPLAY_UPLOAD_ENDPOINT": server.endpoint,
            "REPLAY_UPLOAD_REGION": REGION,
            "REPLAY_UPLOAD_PREFIX": "archive",
            "REPLAY_UPLOAD_CREDENTIALS_SECRET": SECRET,
            "REPLAY_UPLOAD_KEEP_LOCAL_COPY": "False",
        },
        secrets={SECRET: WRONG},
    )
    stack.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "replay-upload"}},
    )
    wait_until_up(stack)
    yield stack
    stack.plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def recording(stack: Stack) -> Iterator[str]:
    with buffers_of_a_while(stack) as new_buffer:
        name = new_buffer()
        stack.wait_for_condition("rb", name, "Recording", seconds=60)
        wait_for_window(stack, name, 9)
        yield name


def uploaded(stack: Stack, capture: str, *, reason: str, seconds: float) -> dict[str, Any]:
    """Waits until the condition Uploaded has a reason; gives the capture's status."""

    def look() -> dict[str, Any] | None:
        condition = stack.condition("rcap", capture, "Uploaded")
        found = stack.get("rcap", capture)
        return found["status"] if condition and condition["reason"] == reason and found else None

    return stack.wait_for(f"{capture} to be {reason}", look, seconds=seconds)


def figure(stack: Stack, series: str) -> float:
    with urllib.request.urlopen(
        f"http://{stack.address('replay-operator')}:8080/metrics", timeout=10
    ) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{series} ")).rpartition(" ")[2])


def nothing_more_is_asked_of_the_api_server(stack: Stack) -> None:
    """The Jobs of the bucket need no right, and the operator none that it has not without one."""
    for account in ("replay-upload", "replay-capture"):
        assert requests_of(stack, account) == []
    requests = requests_of(stack, "replay-operator")
    assert denied(requests) == []
    assert used(requests) <= granted(stack.get("role", "replay-operator") or {})


def test_a_clip_gets_to_the_bucket_when_its_credentials_are_mended_and_goes_with_its_capture(
    stack: Stack, server: S3Server, recording: str
) -> None:
    stack.apply(capture_object("goal", recording, deletionPolicy="Delete", ttlSecondsAfterFinished=86400))
    stack.wait_for_condition("rcap", "goal", "Ready", seconds=60)
    failed = uploaded(stack, "goal", reason="CredentialsRefused", seconds=60)
    path = failed["clip"]["path"]
    local, key = stack.archive() / path, f"archive/{path}"
    content = local.read_bytes()
    assert failed["upload"]["state"] == "Retrying"
    assert server.stored(key) is None
    assert figure(stack, 'replay_upload_errors_total{error_type="CredentialsRefused"}') >= 1

    stack.apply(secret(SECRET, RIGHT))
    status = uploaded(stack, "goal", reason="Verified", seconds=90)
    assert status["clip"]["url"] == f"s3://{BUCKET}/{key}"
    assert server.stored(key) == content
    assert figure(stack, "replay_upload_verified_total") == 1
    stack.wait_for("the end of the local copy", lambda: not local.exists(), seconds=30)
    assert local.with_suffix(".json").exists()

    stack.kubectl("delete", "rcap", "goal", "--wait=false")
    stack.wait_for("the end of the capture", lambda: stack.get("rcap", "goal") is None, seconds=60)
    assert server.stored(key) is None
    assert not local.with_suffix(".json").exists()
    left = [e for e in stack.list_all("events") if e["reason"] == "ClipLeftBehind"]
    assert left == []
    nothing_more_is_asked_of_the_api_server(stack)

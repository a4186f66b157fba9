"""People look at a buffer and get a clip, with nothing but the addresses that a back end asked for."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.flow.conftest import Bed, buffer_object, capture_object, wait_until_up
from tests.flow.test_doctor import doctor_job
from tests.flow.test_record_and_save import wait_for_window
from tests.stack.stack import ALICE, Stack
from tests.testbed.audit import audit_records
from tests.unit.hls_rules import read_media_playlist

NAMESPACE = "preview"
TOKEN = "a-token-of-the-back-end"
URL = "http://replay.example.org:8481"
API_PORT, PORT = 8083, 8481
BUFFER, CAPTURE = "alice-screen", "goal"


@pytest.fixture(scope="module")
def stack(bed: Bed) -> Iterator[Stack]:
    """An install of its own with `manifests/preview`, as docs/operations.md says, and a buffer."""
    stack = Stack(*bed, NAMESPACE)
    stack.install(
        rooms=ALICE,
        settings={"REPLAY_LIVEKIT_POLL_SECONDS": "1", "REPLAY_PREVIEW_URL": URL},
        secrets={"replay-preview-api": {"token": TOKEN}},
        components=["preview"],
    )
    wait_until_up(stack)
    stack.apply(buffer_object(BUFFER, {"room": "standup"}))
    stack.wait_for_condition("rb", BUFFER, "Recording", seconds=60)
    wait_for_window(stack, BUFFER, 5)
    yield stack
    stack.plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def address_of(stack: Stack, path: str, *, token: str = TOKEN) -> str:
    """Ask as a back end; give the address, with the agent's own in the place of the name for browsers."""
    request = urllib.request.Request(
        f"http://{stack.address('replay-operator')}:{API_PORT}{path}",
        method="POST",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
    assert told["url"].startswith(f"{URL}/v1/")
    return urlsplit(told["url"])._replace(netloc=f"{stack.address('replay-agent')}:{PORT}").geturl()


def got(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
    return body


def test_whoever_has_the_address_sees_the_buffer_and_whoever_has_not_does_not(stack: Stack) -> None:
    address = address_of(stack, f"/v1/buffers/{BUFFER}/preview")

    playlist = read_media_playlist(got(address).decode())

    assert len(playlist.segments) >= 2
    segment = got(urljoin(address, playlist.segments[-1].uri))
    assert (segment[0], len(segment) % 188) == (0x47, 0)
    for refused in (address.partition("?")[0], address[:-4] + "AAAA"):
        with pytest.raises(urllib.error.HTTPError) as error:
            got(refused)
        assert error.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as error:
        address_of(stack, f"/v1/buffers/{BUFFER}/preview", token="another")
    assert error.value.code == 401


def test_the_address_of_a_capture_gives_its_clip(stack: Stack) -> None:
    stack.apply(capture_object(CAPTURE, BUFFER))
    done = stack.wait_for_condition("rcap", CAPTURE, "Ready", seconds=60)

    clip = got(address_of(stack, f"/v1/captures/{CAPTURE}/download"))

    assert clip == (stack.archive() / done["status"]["clip"]["path"]).read_bytes()


def test_doctor_gets_in_as_well(stack: Stack) -> None:
    _, found = doctor_job(stack)
    assert found["preview"]["level"] == "PASS", found["preview"]
    assert f"port {PORT}" in found["preview"]["message"]


def test_the_operator_needs_no_right_for_it_that_it_does_not_have(stack: Stack) -> None:
    address_of(stack, f"/v1/buffers/{BUFFER}/preview")
    stack.plane.flush_audit_log()
    user = f"system:serviceaccount:{NAMESPACE}:replay-operator"
    asked = [r for r in audit_records(stack.plane.audit_log, begun=True) if r.user == user]
    assert asked
    assert [r for r in asked if r.code in (401, 403)] == []

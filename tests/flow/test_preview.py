"""People look at a buffer and get a clip, with nothing but the addresses that a back end asked for."""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
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
OPERATOR = f"system:serviceaccount:{NAMESPACE}:replay-operator"


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


def asked(
    stack: Stack, path: str, sent: Mapping[str, str] | None = None, *, token: str = TOKEN
) -> tuple[int, dict[str, Any]]:
    """Ask as a back end; give the status and what is told."""
    request = urllib.request.Request(
        f"http://{stack.address('replay-operator')}:{API_PORT}{path}",
        json.dumps(sent or {}).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def address_of(stack: Stack, path: str) -> str:
    """Give the address that a back end is told, with the agent's own instead of the name for browsers."""
    status, told = asked(stack, path)
    assert status == 200, told
    url: str = told["url"]
    assert url.startswith(f"{URL}/v1/")
    return urlsplit(url)._replace(netloc=f"{stack.address('replay-agent')}:{PORT}").geturl()


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
    assert asked(stack, f"/v1/buffers/{BUFFER}/preview", token="another")[0] == 401


def test_the_address_of_a_capture_gives_its_clip(stack: Stack) -> None:
    stack.apply(capture_object(CAPTURE, BUFFER))
    done = stack.wait_for_condition("rcap", CAPTURE, "Ready", seconds=60)

    clip = got(address_of(stack, f"/v1/captures/{CAPTURE}/download"))

    assert clip == (stack.archive() / done["status"]["clip"]["path"]).read_bytes()


def test_doctor_gets_in_as_well(stack: Stack) -> None:
    _, found = doctor_job(stack)
    assert found["preview"]["level"] == "PASS", found["preview"]
    assert f"port {PORT}" in found["preview"]["message"]


SAVE = f"/v1/buffers/{BUFFER}/captures"


@pytest.fixture
def marked(stack: Stack) -> dict[str, str]:
    """What somebody marks who looks at the buffer."""
    shown = read_media_playlist(got(address_of(stack, f"/v1/buffers/{BUFFER}/preview")).decode()).segments
    return {"start": shown[-2].at.isoformat(), "end": shown[-1].at.isoformat()}


@pytest.fixture
def may_save(stack: Stack) -> Iterator[None]:
    """The Role with the verb that docs/preview.md asks for, and `preview.api.captures` of the chart gives."""
    rules = (stack.get("role", "replay-operator") or {})["rules"]
    more = copy.deepcopy(rules)
    (rule,) = [rule for rule in more if rule["resources"] == ["replaycaptures"]]
    rule["verbs"].append("create")
    put_rules(stack, more, allowed=True)
    yield
    put_rules(stack, rules, allowed=False)


def put_rules(stack: Stack, rules: Sequence[Mapping[str, Any]], *, allowed: bool) -> None:
    patch = json.dumps([{"op": "replace", "path": "/rules", "value": rules}])
    stack.kubectl("patch", "role", "replay-operator", "--type=json", "-p", patch)
    stack.wait_for("the word of the authorizer", lambda: may_create(stack) is allowed, seconds=30)


def may_create(stack: Stack) -> bool:
    """Say whether the API server lets the operator make captures: it learns of a Role after a moment."""
    wanted = {"namespace": NAMESPACE, "verb": "create", "group": "replaybuffer.dev"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": OPERATOR, "resourceAttributes": wanted | {"resource": "replaycaptures"}},
    }
    reviewed = stack.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
    return bool(json.loads(reviewed)["status"]["allowed"])


def test_without_the_right_to_save_the_back_end_is_told_which_one_it_is(
    stack: Stack, marked: dict[str, str]
) -> None:
    before = [capture["metadata"]["name"] for capture in stack.list_all("rcap")]
    status, told = asked(stack, SAVE, marked)
    assert (status, "verb create on replaycaptures" in told["detail"]) == (403, True)
    assert [capture["metadata"]["name"] for capture in stack.list_all("rcap")] == before


@pytest.mark.usefixtures("may_save")
def test_what_was_marked_in_the_page_becomes_a_clip_with_that_right_alone(
    stack: Stack, marked: dict[str, str]
) -> None:
    status, told = asked(stack, SAVE, marked)
    assert status == 201, told
    assert told["name"].startswith(f"{BUFFER}-")
    done = stack.wait_for_condition("rcap", told["name"], "Ready", seconds=60)
    resolved = {end: datetime.fromisoformat(done["status"]["range"][end]) for end in ("start", "end")}
    assert resolved == {end: datetime.fromisoformat(moment) for end, moment in marked.items()}
    clip = got(address_of(stack, f"/v1/captures/{told['name']}/download"))
    assert len(clip) == done["status"]["clip"]["bytes"]


@pytest.mark.usefixtures("may_save")
def test_a_range_that_breaks_a_rule_is_refused_with_the_sentence_of_the_rule(
    stack: Stack, marked: dict[str, str]
) -> None:
    status, told = asked(stack, SAVE, {"start": marked["end"], "end": marked["start"]})
    assert (status, "start must lie before" in told["detail"]) == (422, True), told


def test_the_operator_needs_no_right_to_show_that_it_does_not_have(stack: Stack) -> None:
    address_of(stack, f"/v1/buffers/{BUFFER}/preview")
    stack.plane.flush_audit_log()
    requests = [r for r in audit_records(stack.plane.audit_log, begun=True) if r.user == OPERATOR]
    assert requests
    denied = {(r.verb, r.resource) for r in requests if r.code in (401, 403)}
    assert denied <= {("create", "replaycaptures")}

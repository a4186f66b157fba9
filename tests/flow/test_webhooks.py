"""LiveKit's webhooks make the operator look sooner than it would by itself, and do nothing else.

LiveKit is listed once a minute here. What follows on a webhook at once can have no other cause.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from replay_operator.domain.lifecycle import SOURCE_LOOKUP
from replay_operator.livekit.poller import GAP_SECONDS
from tests.flow.conftest import Bed, buffer_object, wait_until_up
from tests.stack.stack import Stack
from tests.testbed.audit import audit_log_size, audit_records

NAMESPACE = "webhooks"
PORT = 8081
RECEIVER = f"http://replay-operator-webhooks:{PORT}/livekit/webhook"
WRONG_SECRET = "a secret that LiveKit has never had"
EGRESS_LEAVES_SECONDS = 1.0
LONG = {"windowSeconds": 600}
"""No milestone of the window, which would be written, falls into a test."""

Json = dict[str, Any]


@pytest.fixture(scope="module")
def stack(bed: Bed) -> Iterator[Stack]:
    """An install of its own, set up as docs/operations.md says."""
    stack = Stack(*bed, NAMESPACE)
    stack.install(
        rooms={},
        timing={"LIVEKIT_DOUBLE_TIMING": f'{{"handler_lost_seconds": {EGRESS_LEAVES_SECONDS}}}'},
        settings={"REPLAY_LIVEKIT_POLL_SECONDS": "60", "REPLAY_WEBHOOK_PORT": str(PORT)},
        webhook_urls=[RECEIVER],
    )
    selector = {"app.kubernetes.io/name": "replay-operator", "app.kubernetes.io/component": "operator"}
    stack.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "replay-operator-webhooks"},
            "spec": {
                "selector": selector,
                "ports": [{"name": "webhooks", "port": PORT, "targetPort": PORT}],
            },
        }
    )
    wait_until_up(stack)
    yield stack
    stack.plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def join(stack: Stack, room: str) -> None:
    stack.livekit.post(
        f"rooms/{room}/participants", {"identity": "alice", "tracks": ["SCREEN_SHARE", "MICROPHONE"]}
    )


def recording(stack: Stack, name: str) -> str:
    """Make a buffer for a room with alice in it, and give the id of the egress that records it."""
    stack.livekit.post("rooms", {"name": name})
    join(stack, name)
    stack.apply(buffer_object(name, LONG))
    found = stack.wait_for_condition("rb", name, "Recording", seconds=60)
    return str(found["status"]["egress"]["id"])


def calls(stack: Stack, method: str, **request: Any) -> list[Json]:
    """Give the calls of one method whose request has these fields, oldest first."""
    return [
        call
        for call in stack.livekit.get("calls")["calls"]
        if call["method"] == method and request.items() <= call["request"].items()
    ]


def lists(stack: Stack) -> int:
    return len(calls(stack, "ListEgress", active=True))


def egresses(stack: Stack, room: str) -> list[Json]:
    return [e for e in stack.livekit.get("egress") if e["room_name"] == room]


def answers(stack: Stack, event: str, *, identity: str = "", egress_id: str = "") -> list[int]:
    """Give what the operator has answered to webhooks of one kind."""
    return [
        sent["status"]
        for sent in stack.livekit.get("webhooks")
        if (sent["event"], sent["identity"], sent["egress_id"]) == (event, identity, egress_id)
    ]


def test_a_source_that_comes_is_recorded_before_the_next_look_is_due(stack: Stack) -> None:
    room = "joined"
    stack.livekit.post("rooms", {"name": room})
    stack.apply(buffer_object(room, LONG))
    looks = len(calls(stack, "ListParticipants", room=room))
    stack.wait_for(
        "a further look at the room",
        lambda: len(calls(stack, "ListParticipants", room=room)) > looks,
        seconds=30,
    )
    before = calls(stack, "ListParticipants", room=room)[-1]

    join(stack, room)

    start = stack.wait_for(
        "a start", lambda: calls(stack, "StartTrackCompositeEgress", room_name=room), seconds=30
    )[0]
    assert start["at"] - before["at"] < SOURCE_LOOKUP.total_seconds()
    stack.wait_for_condition("rb", room, "Recording", seconds=60)
    assert answers(stack, "participant_joined", identity="alice") == [200]
    assert 200 in answers(stack, "track_published", identity="alice")
    assert len(egresses(stack, room)) == 1


@pytest.mark.parametrize(
    ("lever", "body"),
    [("end", {"details": "End reason: CPU exhausted"}), ("kill", {})],
    ids=["a worker ends it", "its process is killed"],
)
def test_an_egress_that_ends_is_followed_before_anybody_misses_its_segments(
    stack: Stack, lever: str, body: Json
) -> None:
    room = f"over-{lever}"
    old = recording(stack, room)

    stack.livekit.post(f"egress/{old}/{lever}", body)

    def new_egress() -> str | None:
        status = (stack.get("rb", room) or {})["status"]
        found = status.get("egress", {}).get("id")
        return found if found not in (None, old) else None

    new = stack.wait_for("the next egress", new_egress, seconds=30)
    assert calls(stack, "StopEgress", egress_id=old) == [], (
        "what is found silent is stopped: it was known over"
    )
    if lever == "kill":
        stack.wait_for(
            "the old egress participant's departure",
            lambda: answers(stack, "participant_left", identity=old) == [200],
            seconds=30,
        )
    stack.wait_for_condition("rb", room, "Recording", seconds=60)
    assert {e["egress_id"] for e in egresses(stack, room)} == {old, new}


def test_webhooks_that_are_repeated_or_forged_change_nothing(stack: Stack) -> None:
    room = "calm"
    egress_id = recording(stack, room)
    left = {
        "event": "participant_left",
        "room": {"name": room},
        "participant": {
            "identity": egress_id,
            "kind": "EGRESS",
            "disconnect_reason": "CONNECTION_TIMEOUT",
        },
    }
    ended = {"event": "egress_ended", "egress_info": {"egress_id": egress_id, "status": "EGRESS_COMPLETE"}}
    unpublished = {"event": "track_unpublished", "room": {"name": room}}
    due = lists(stack)
    assert stack.livekit.post("webhooks", {"event": ended}) == [200]
    stack.wait_for("a list, after which none is due for a minute", lambda: lists(stack) > due, seconds=30)
    buffer = stack.get("rb", room)
    offset = audit_log_size(stack.plane.audit_log)
    before = lists(stack)

    for event in (left, ended, unpublished):
        answered = stack.livekit.post("webhooks", {"event": event, "copies": 3, "api_secret": WRONG_SECRET})
        assert answered == [401, 401, 401]
    assert lists(stack) == before

    begun = time.monotonic()
    for event in (left, ended, unpublished):
        assert stack.livekit.post("webhooks", {"event": event, "copies": 10}) == [200] * 10
    stack.wait_for("a list, half a minute before it is due", lambda: lists(stack) > before, seconds=30)

    again = stack.get("rb", room)
    assert again == buffer
    assert [e["egress_id"] for e in egresses(stack, room)] == [egress_id]
    assert calls(stack, "StopEgress", egress_id=egress_id) == []
    asked = lists(stack) - before
    assert asked <= 1 + (time.monotonic() - begun) / GAP_SECONDS, "many hints soon after each other are one"
    stack.plane.flush_audit_log()
    records = audit_records(stack.plane.audit_log, offset=offset)
    writer = f"system:serviceaccount:{NAMESPACE}:replay-operator"
    assert [r for r in records if r.user == writer and r.is_write and r.resource != "leases"] == []

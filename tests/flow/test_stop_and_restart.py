"""Deletion, crashes and outages: never a leaked egress, never a second one, never a needless write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow.conftest import BufferFactory
from tests.stack.stack import Stack
from tests.testbed.audit import AuditRecord, audit_log_size, audit_records

OPERATOR = "system:serviceaccount:flow:replay-operator"


def egresses_of(stack: Stack, room: str) -> list[dict[str, Any]]:
    return [e for e in stack.livekit.get("egress") if e["room_name"] == room]


def active(stack: Stack, room: str) -> list[str]:
    over = {"EGRESS_COMPLETE", "EGRESS_FAILED", "EGRESS_ABORTED"}
    return [e["egress_id"] for e in egresses_of(stack, room) if e["status"] not in over]


def operator_writes(stack: Stack, offset: int) -> list[AuditRecord]:
    stack.plane.flush_audit_log()
    records = audit_records(stack.plane.audit_log, offset=offset)
    # The Lease is renewed all the time, whatever the number of buffers: it is not part of the budget.
    return [r for r in records if r.user == OPERATOR and r.is_write and r.resource != "leases"]


@pytest.fixture
def quiet(stack: Stack) -> Iterator[Stack]:
    """No other buffer is there, so that every write is of the test's own making."""
    stack.wait_for("no other buffers", lambda: not stack.list_all("rb"), seconds=60)
    yield stack
    stack.wait_until_available("replay-operator")


def test_deleting_a_buffer_stops_its_egress_at_once(stack: Stack, new_buffer: BufferFactory) -> None:
    name = new_buffer()
    stack.wait_for_condition("rb", name, "Recording", seconds=60)
    stack.kubectl("delete", "rb", name)
    stack.wait_for("the end of the egress", lambda: not active(stack, name), seconds=60)
    assert len(egresses_of(stack, name)) == 1


def test_a_buffer_deleted_while_livekit_is_away_is_stopped_when_it_is_back(
    stack: Stack, new_buffer: BufferFactory
) -> None:
    name = new_buffer()
    stack.wait_for_condition("rb", name, "Recording", seconds=60)
    admin = stack.livekit
    for method in ("StopEgress", "ListEgress"):
        admin.post("faults", {"kind": "error", "method": method, "count": 1000, "status": 503})
    stack.kubectl("delete", "rb", name)
    stops = admin.get("calls")["counts"].get("StopEgress", 0)
    stack.wait_for(
        "a refused stop", lambda: admin.get("calls")["counts"].get("StopEgress", 0) > stops, seconds=60
    )
    assert active(stack, name), "the double was told to refuse"
    admin.delete("faults")
    stack.wait_for("the end of the egress", lambda: not active(stack, name), seconds=60)


def test_an_operator_killed_between_start_and_status_leaves_exactly_one_egress(
    stack: Stack, new_buffer: BufferFactory
) -> None:
    admin = stack.livekit
    admin.post("faults", {"kind": "hold", "method": "StartTrackCompositeEgress", "seconds": 20})
    pod = stack.pod("replay-operator")
    name = new_buffer()
    stack.wait_for("a registered egress", lambda: active(stack, name), seconds=60)
    stack.node.kill_container(stack.namespace, pod, "operator")
    found = stack.wait_for_condition("rb", name, "Recording", seconds=90)
    assert active(stack, name) == [found["status"]["egress"]["id"]]
    assert len(egresses_of(stack, name)) == 1, "the egress of the killed operator is adopted"


def test_a_killed_operator_costs_no_write_and_no_second_of_recording(
    quiet: Stack, new_buffer: BufferFactory
) -> None:
    stack = quiet
    name = new_buffer()
    before = stack.wait_for_condition("rb", name, "Recording", seconds=60)
    offset = audit_log_size(stack.plane.audit_log)
    pod = stack.pod("replay-operator")
    pid = stack.node.pid(stack.namespace, pod, "operator")
    stack.node.kill_container(stack.namespace, pod, "operator")
    stack.wait_for("another process", lambda: _other_pid(stack, pod, pid), seconds=60)
    stack.wait_until_available("replay-operator")
    segments = _segments(stack, before)
    stack.wait_for("two more segments", lambda: _segments(stack, before) >= segments + 2, seconds=60)
    assert operator_writes(stack, offset) == []
    assert active(stack, name) == [before["status"]["egress"]["id"]]


def test_a_buffer_costs_two_status_writes_and_none_while_idle(
    quiet: Stack, new_buffer: BufferFactory
) -> None:
    stack = quiet
    offset = audit_log_size(stack.plane.audit_log)
    name = new_buffer(windowSeconds=600)
    stack.wait_for_condition("rb", name, "Recording", seconds=60)
    writes = [w for w in operator_writes(stack, offset) if w.name == name or w.resource == "events"]
    status = [w for w in writes if (w.resource, w.subresource) == ("replaybuffers", "status")]
    assert len(status) == 2
    assert len([w for w in writes if w.resource == "events"]) <= 3
    assert len(writes) == len(status) + len([w for w in writes if w.resource == "events"])

    offset = audit_log_size(stack.plane.audit_log)
    _idle_minute()
    assert operator_writes(stack, offset) == []


def _idle_minute() -> None:
    """The budget is stated for a minute of nothing: here time itself is what is tested."""
    threading.Event().wait(60)


def _other_pid(stack: Stack, pod: str, pid: int) -> bool:
    try:
        return stack.node.pid(stack.namespace, pod, "operator") != pid
    except LookupError:
        return False


def _segments(stack: Stack, buffer: dict[str, Any]) -> int:
    path = buffer["status"]["storage"]["path"]
    return sum(r.last_index for b in stack.coverage().buffers if b.path == path for r in b.runs)

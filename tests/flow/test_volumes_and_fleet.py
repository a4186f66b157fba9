"""Volume and fleet grow with the buffers on the whole stack, with the rights of the operator's own Role."""

from __future__ import annotations

from typing import Any

from tests.flow.conftest import SMALL, BufferFactory
from tests.stack.stack import Stack
from tests.testbed.audit import audit_log_size, audit_records

FLEET = "livekit-egress"
OPERATOR = "system:serviceaccount:flow:replay-operator"
HUGE = {"advanced": SMALL["advanced"] | {"videoKbps": 50_000}}
"""With the longest window: 50.1 Mbit/s for 14520 s and a fifth more are 101.5 GiB."""


def size(stack: Stack, claim: str) -> dict[str, Any]:
    found = stack.get("pvc", claim) or {}
    return {
        "requested": found["spec"]["resources"]["requests"]["storage"],
        "capacity": found["status"]["capacity"]["storage"],
    }


def test_the_volume_grows_for_a_buffer_before_anybody_records(
    stack: Stack, new_buffer: BufferFactory
) -> None:
    stack.wait_for(
        "a volume", lambda: "capacity" in (stack.get("pvc", "replay-buffers") or {})["status"], seconds=30
    )
    assert size(stack, "replay-buffers") == {"requested": "20Gi", "capacity": "20Gi"}
    offset = audit_log_size(stack.plane.audit_log)
    absent = {"participant": {"identity": "nobody", "video": "ScreenShare"}}
    new_buffer(source=absent, encoding=HUGE, windowSeconds=14400, segmentSeconds=15)
    grown = {"requested": "110Gi", "capacity": "110Gi"}
    stack.wait_for("a larger volume", lambda: size(stack, "replay-buffers") == grown, seconds=60)
    assert size(stack, "replay-archive")["requested"] == "100Gi"
    stack.plane.flush_audit_log()
    asked = [
        record.verb
        for record in audit_records(stack.plane.audit_log, offset=offset)
        if (record.user, record.resource) == (OPERATOR, "persistentvolumeclaims") and record.is_write
    ]
    assert asked == ["patch"]


def test_buffers_that_find_no_worker_start_when_the_fleet_has_grown_by_itself(
    stack: Stack, new_buffer: BufferFactory
) -> None:
    before = len(stack.running_pods(FLEET))
    places = 4 * before
    names = [new_buffer() for _ in range(places + 1)]
    for name in names:
        stack.wait_for_condition("rb", name, "Recording", seconds=120)
    assert len(stack.running_pods(FLEET)) > before
    inactive = stack.condition("hpa", FLEET, "ScalingActive") or {}
    assert inactive["reason"] == "FailedGetResourceMetric", "no metrics server was needed for it"

"""The checks of a calm system, on made-up sights: each trouble is seen, and a calm system shows none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.chaos.invariants import Seen, TrackPair, leftovers, troubles

PAIR = TrackPair("TR_V", "TR_A")


def deployment(name: str, available: int = 1) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 1},
        "status": {"availableReplicas": available},
    }


def buffer(*, egress: str = "EG_1", recording: str = "True", video: str = "TR_V") -> dict[str, Any]:
    return {
        "kind": "ReplayBuffer",
        "metadata": {"name": "b", "uid": "u"},
        "spec": {"room": "r"},
        "status": {
            "egress": {"id": egress},
            "tracks": {"video": video, "audio": "TR_A"},
            "conditions": [{"type": "Recording", "status": recording, "reason": "X", "message": "y"}],
        },
    }


def capture(*, finished: bool) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True" if finished else "False", "reason": "X", "message": "y"}
    return {
        "kind": "ReplayCapture",
        "metadata": {"name": "c", "uid": "c-uid"},
        "status": {"conditions": [ready]},
    }


def lease(*, renewed: str = "2026-01-01T00:00:05.000000Z", holder: str = "pod_1") -> dict[str, Any]:
    return {
        "kind": "Lease",
        "metadata": {"name": "replay-operator"},
        "spec": {"holderIdentity": holder, "renewTime": renewed},
    }


def job(owner: str) -> dict[str, Any]:
    return {"kind": "Job", "metadata": {"name": "j", "ownerReferences": [{"uid": owner}]}}


def pod_on_its_way_out() -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}}


PARTS = (
    *(deployment(name) for name in ("replay-operator", "replay-agent", "livekit-egress")),
    lease(),
)
CALM = Seen(
    objects=(*PARTS, buffer(), capture(finished=True), job("c-uid")),
    living={"EG_1": "r"},
    published={"r": PAIR},
    pinned=frozenset(),
    faults_ended_at=datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC),
    directories=frozenset({"u"}),
    wrong_clocks=frozenset({"EG_0"}),
)


def test_a_calm_system_shows_no_trouble() -> None:
    assert troubles(CALM) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(CALM, living={}), "has 0 active egresses"),
        (replace(CALM, living={"EG_1": "r", "EG_2": "r"}), "has 2 active egresses"),
        (replace(CALM, living={"EG_2": "r"}), "names egress EG_1, active is EG_2"),
        (replace(CALM, living={"EG_1": "r", "EG_9": "old"}), "whose buffer was deleted"),
        (replace(CALM, published={"r": TrackPair("TR_NEW", "TR_A")}), "published are"),
        (replace(CALM, wrong_clocks=frozenset({"EG_1"})), "EG_1 still records, its clock is wrong"),
        (replace(CALM, published={}), "has no source, but egress EG_1 runs"),
        (replace(CALM, objects=(*PARTS, buffer(recording="Unknown"))), "says Recording=Unknown"),
        (replace(CALM, objects=(*PARTS, buffer(), job("gone"))), "has outlived its capture"),
        (replace(CALM, objects=(*PARTS, buffer(), capture(finished=False))), "is not finished"),
        (replace(CALM, pinned=frozenset({"c-uid"})), "the agent holds segments for capture c-uid"),
        (replace(CALM, objects=(*PARTS[:3], buffer())), "no operator leads"),
        (replace(CALM, objects=(*PARTS[:3], lease(holder=""), buffer())), "no operator leads"),
        (
            replace(CALM, objects=(*PARTS[:3], lease(renewed="2026-01-01T00:00:03Z"), buffer())),
            "no operator leads",
        ),
        (
            replace(CALM, objects=(*CALM.objects, pod_on_its_way_out())),
            "pod p was told to stop and is still there",
        ),
        (
            replace(CALM, objects=(*PARTS, deployment("replay-agent", 0), buffer())),
            "Deployment replay-agent has 0 of 1 pods",
        ),
    ],
)
def test_each_trouble_is_seen(seen: Seen, said: str) -> None:
    found = troubles(seen)
    assert any(said in sentence for sentence in found), found


def test_a_pin_of_a_capture_that_is_still_cut_is_no_trouble() -> None:
    objects = (*PARTS, buffer(), capture(finished=False))
    cutting = replace(CALM, objects=objects, pinned=frozenset({"c-uid"}))
    assert not any("holds segments" in sentence for sentence in troubles(cutting))


def test_a_directory_of_a_buffer_that_is_gone_is_left_over() -> None:
    assert leftovers(CALM) == []
    (said,) = leftovers(replace(CALM, directories=frozenset({"u", "old-uid"})))
    assert "directory old-uid is still there" in said

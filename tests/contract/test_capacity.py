"""Claims, the fleet's floor and deletion costs: what is written, and how rarely."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from replay_operator.cluster.gateway import Conflict, Forbidden
from replay_operator.cluster.resources import AUTOSCALERS, BUFFERS, CLAIMS, EVENTS, PODS
from replay_operator.domain.fleet import DELETION_COST, WorkerView
from replay_operator.livekit.errors import NoEgressCapacity
from replay_operator.settings import OperatorSettings
from tests.builders import NAMESPACE, at, buffer_body, rfc3339
from tests.contract.rig import SETTINGS, Outside, Rig
from tests.fleet_pods import pod_body

CLAIM = "replay-buffers"
FLEET = "livekit-egress"
NO_EXPANSION = Forbidden(403, "persistentvolumeclaims is forbidden: the class does not support resize")


def settings(**changes: Any) -> OperatorSettings:
    return SETTINGS.model_copy(update=changes)


def figure(rig: Rig, name: str, **labels: str) -> float | None:
    return rig.metrics.registry.get_sample_value(name, labels)


def claim_is_bound(rig: Rig, name: str = CLAIM) -> None:
    """The storage has made a volume, as large as was asked for."""
    claim = rig.cluster.stored(CLAIMS, NAMESPACE, name)
    size = claim["spec"]["resources"]["requests"]
    rig.cluster.change(CLAIMS, NAMESPACE, name, status={"phase": "Bound", "capacity": size})


def claim_size(rig: Rig) -> str:
    claim = rig.cluster.stored(CLAIMS, NAMESPACE, CLAIM)
    return str(claim["spec"]["resources"]["requests"]["storage"])


async def install_with_volumes(rig: Rig) -> None:
    """Both claims are made and bound, and the autoscaler has its floor."""
    rig.cluster.add(AUTOSCALERS, autoscaler())
    await rig.look()
    claim_is_bound(rig)
    claim_is_bound(rig, "replay-archive")
    await rig.look()


def autoscaler(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": AUTOSCALERS.api_version,
        "kind": AUTOSCALERS.kind,
        "metadata": {"name": FLEET, "namespace": NAMESPACE, "uid": "hpa"},
        "spec": {"minReplicas": 1, "maxReplicas": 20} | spec,
    }


def floor(rig: Rig) -> int:
    return int(rig.cluster.stored(AUTOSCALERS, NAMESPACE, FLEET)["spec"]["minReplicas"])


def users_create(rig: Rig, count: int, **spec: Any) -> None:
    for number in range(count):
        body = buffer_body(name=f"b{number}", uid=f"uid-{number}", **spec)
        body["metadata"]["creationTimestamp"] = rfc3339(at(number))
        rig.buffers.put(rig.cluster.add(BUFFERS, body))


async def looks(rig: Rig, seconds: int) -> None:
    for _ in range(0, seconds, 5):
        rig.clock.go_on(5)
        await rig.look()


async def test_a_claim_grows_with_the_demand_once_and_an_idle_install_writes_nothing(rig: Rig) -> None:
    await install_with_volumes(rig)
    users_create(rig, 50, windowSeconds=600, encoding={"preset": "H264_1080P_60"})
    before = len(rig.cluster.writes)
    await rig.look()
    assert claim_size(rig) == "40Gi", "50 x 766 kB/s x 720 s x 1.2 = 30.8 GiB, in steps of 10 above 20"
    grown = [call for call in rig.cluster.writes[before:] if call.plural == CLAIMS.plural]
    assert len(grown) == 1
    claim_is_bound(rig)
    await rig.look()
    before = len(rig.cluster.writes)
    await looks(rig, 300)
    assert len(rig.cluster.writes) == before
    assert figure(rig, "replay_claim_bytes", claim=CLAIM, type="capacity") == 40 * 2**30
    assert figure(rig, "replay_claim_state", claim=CLAIM, state="Bound") == 1


async def test_a_restart_neither_grows_nor_tells_anything_again(rig: Rig) -> None:
    await install_with_volumes(rig)
    users_create(rig, 50, encoding={"preset": "H264_1080P_60"})
    await rig.look()
    new = rig.restarted()
    before = len(new.cluster.writes)
    await new.look()
    assert len(new.cluster.writes) == before
    assert figure(new, "replay_claim_state", claim=CLAIM, state="Resizing") == 1


async def test_a_growth_that_the_class_refuses_is_told_once_and_tried_again_much_later(rig: Rig) -> None:
    await install_with_volumes(rig)
    rig.cluster.refuses = {"patch persistentvolumeclaims": NO_EXPANSION}
    users_create(rig, 50, encoding={"preset": "H264_1080P_60"})
    await looks(rig, 300)
    tries = rig.cluster.writes_of(CLAIMS.plural)[2:]
    (event,) = rig.cluster.all_of(EVENTS)
    assert len(tries) == 1
    assert (event["reason"], event["involvedObject"]["kind"]) == ("GrowthRefused", "PersistentVolumeClaim")
    assert "does not support resize" in event["message"]
    assert figure(rig, "replay_claim_state", claim=CLAIM, state="GrowthRefused") == 1

    rig.cluster.refuses = {}
    await looks(rig, 310)
    assert claim_size(rig) == "40Gi"
    assert figure(rig, "replay_claim_state", claim=CLAIM, state="GrowthRefused") == 0


async def test_a_claim_that_changed_while_it_was_looked_at_is_looked_at_again(rig: Rig) -> None:
    await install_with_volumes(rig)
    rig.cluster.refuses = {"patch persistentvolumeclaims": Conflict(409, "it has been modified")}
    users_create(rig, 50, encoding={"preset": "H264_1080P_60"})
    await rig.look()
    rig.cluster.refuses = {}
    await rig.look()
    assert claim_size(rig) == "40Gi"


async def test_a_quota_that_forbids_the_claim_stops_nothing_else(rig: Rig) -> None:
    rig.cluster.refuses = {"create persistentvolumeclaims": Forbidden(403, "exceeded quota: storage")}
    rig.cluster.add(AUTOSCALERS, autoscaler())
    await rig.look()
    assert floor(rig) == 2
    assert figure(rig, "replay_claim_state", claim=CLAIM, state="CreationRefused") == 1
    await looks(rig, 300)
    assert len(rig.cluster.writes_of(CLAIMS.plural)) == 2, "one try for each claim"


async def test_a_buffer_that_cannot_start_for_want_of_a_volume_says_what_the_claim_waits_for(
    rig: Rig,
) -> None:
    rig.user_creates_buffer()
    rig.agent.away = True
    await rig.look()
    await rig.look()
    await rig.reconcile_buffer()
    (ready,) = [c for c in rig.buffer.status.conditions if c.type == "Ready"]
    assert ready.reason == "WaitingForStorage"
    assert "the agent is away" in ready.message
    assert "The claim replay-buffers has no volume yet" in ready.message


async def test_before_livekit_has_answered_the_fleet_is_not_made_smaller(rig: Rig) -> None:
    rig.cluster.add(AUTOSCALERS, autoscaler(minReplicas=9))
    rig.livekit.away = True
    await looks(rig, 1200)
    assert not rig.operator.install.is_whole
    assert floor(rig) == 9


async def test_the_fleet_grows_at_once_and_shrinks_when_fewer_have_done_for_ten_minutes(rig: Rig) -> None:
    await install_with_volumes(rig)
    await looks(rig, 600)
    users_create(rig, 30)
    for buffer in rig.buffers:
        await rig.operator.buffers.reconcile(buffer.metadata.uid)
    await rig.look()
    assert floor(rig) == 9, "30 buffers, 4 on a worker, and one to spare"
    for number in range(30):
        rig.cluster.remove(BUFFERS, NAMESPACE, f"b{number}")
        rig.buffers.drop(f"uid-{number}")
        await rig.operator.buffers.reconcile(f"uid-{number}")
    await looks(rig, 590)
    assert floor(rig) == 9
    await looks(rig, 20)
    assert floor(rig) == 2
    writes = rig.cluster.writes_of(AUTOSCALERS.plural)
    assert len(writes) == 3, "to the minimum, up, and down"


async def test_a_restart_does_not_make_the_fleet_smaller_before_it_knows_what_was_needed(rig: Rig) -> None:
    rig.cluster.add(AUTOSCALERS, autoscaler(minReplicas=9))
    await looks(rig, 595)
    assert floor(rig) == 9
    await looks(rig, 10)
    assert floor(rig) == 2


async def full_fleet(rig: Rig) -> None:
    """A buffer has tried often to start, and waits as long as one ever does."""
    await rig.look()
    rig.user_creates_buffer()
    for _ in range(8):
        rig.livekit.failing_starts.append((NoEgressCapacity("no response from servers"), False))
        delay = await rig.reconcile_buffer()
        rig.clock.go_on(delay or 0)
        await rig.look()
    rig.livekit.failing_starts.append((NoEgressCapacity("no response from servers"), False))
    await rig.reconcile_buffer()
    await rig.look()
    await rig.woken()
    assert rig.buffer_reason == "WaitingForCapacity"


async def test_a_buffer_that_waits_starts_the_moment_a_worker_is_ready(rig: Rig) -> None:
    await full_fleet(rig)
    rig.clock.go_on(1)
    await rig.look()
    starts = len(rig.livekit.starts)
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == starts, "its next try is a minute away"
    await rig.woken()
    rig.operator.inbox.fleet_pod("ADDED", pod_body(ready=False))
    assert await rig.woken() == set()
    rig.operator.inbox.fleet_pod("MODIFIED", pod_body(version=1001))
    assert len(await rig.woken()) == 1
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == starts + 1


async def test_a_worker_that_got_ready_while_livekit_asked_around_is_not_missed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await full_fleet(rig)
    rig.clock.go_on(60)
    await rig.look()

    def meanwhile() -> None:
        rig.clock.go_on(1)
        rig.operator.inbox.fleet_pod("ADDED", pod_body())

    rig.livekit.failing_starts.append((NoEgressCapacity("no response from servers"), False))
    rig.agent.while_run_is_put = meanwhile
    assert await rig.reconcile_buffer() == 0
    rig.agent.while_run_is_put = lambda: None
    rig.clock.go_on(1)
    await rig.look()
    starts = len(rig.livekit.starts)
    await rig.reconcile_buffer()
    assert len(rig.livekit.starts) == starts + 1


def worker_says(rig: Rig, *egress_ids: str) -> None:
    watch = rig.operator.fleet
    (pod,) = watch.fleet.pods.values()
    watch._take(watch.fleet.with_view(WorkerView(pod, frozenset(egress_ids), 1.0)))


async def test_busy_workers_get_a_deletion_cost_where_that_is_wanted() -> None:
    rig = Rig(Outside(), settings=settings(pod_deletion_cost=True))
    pod = rig.cluster.add(PODS, pod_body())
    rig.operator.inbox.fleet_pod("ADDED", pod)
    worker_says(rig)
    await rig.look()
    assert rig.cluster.writes_of("pods") == [], "an idle worker costs nothing, like one that says nothing"
    worker_says(rig, "EG_1")
    await looks(rig, 20)
    worker_says(rig, "EG_1", "EG_2")
    await looks(rig, 20)
    (changed,) = rig.cluster.all_of(PODS)
    assert changed["metadata"]["annotations"] == {DELETION_COST: "2"}
    assert len(rig.cluster.writes_of("pods")) == 1, "a burst of starts is one write"
    rig.operator.inbox.fleet_pod(
        "MODIFIED", changed | {"metadata": changed["metadata"] | {"resourceVersion": "2000"}}
    )
    await looks(rig, 300)
    assert len(rig.cluster.writes_of("pods")) == 1


async def test_no_pod_is_written_to_unless_that_is_wanted(rig: Rig) -> None:
    rig.operator.inbox.fleet_pod("ADDED", rig.cluster.add(PODS, pod_body()))
    worker_says(rig, "EG_1")
    await looks(rig, 60)
    assert rig.cluster.writes_of("pods") == []


async def test_a_missing_right_to_pods_is_said_and_not_asked_for_all_the_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(Outside(), settings=settings(pod_deletion_cost=True))
    rig.cluster.refuses = {"patch pods": Forbidden(403, "pods is forbidden")}
    rig.operator.inbox.fleet_pod("ADDED", rig.cluster.add(PODS, pod_body()))
    worker_says(rig, "EG_1")
    with caplog.at_level(logging.WARNING):
        await looks(rig, 300)
    assert len(rig.cluster.writes_of("pods")) == 1
    assert "needs the verb patch on pods" in caplog.text


async def test_over_the_write_budget_a_buffer_waits_until_an_older_one_goes() -> None:
    rig = Rig(Outside(), settings=settings(write_budget_mbps=1))
    users_create(rig, 3)
    await rig.look()
    assert figure(rig, "replay_write_throughput_bytes") == 2 * (3000 + 128) * 125
    assert figure(rig, "replay_write_budget_bytes") == 1_000_000
    for number in range(3):
        await rig.operator.buffers.reconcile(f"uid-{number}")
    assert len(rig.livekit.starts) == 2
    status = rig.cluster.stored(BUFFERS, NAMESPACE, "b2")["status"]
    (ready,) = [c for c in status["conditions"] if c["type"] == "Ready"]
    assert ready["reason"] == "WaitingForAdmission"
    assert "0.78 MB/s of 1.00 MB/s (REPLAY_WRITE_BUDGET_MBPS)" in ready["message"]

    rig.cluster.remove(BUFFERS, NAMESPACE, "b0")
    rig.buffers.drop("uid-0")
    await rig.look()
    await rig.operator.buffers.reconcile("uid-2")
    assert len(rig.livekit.starts) == 3


async def test_without_a_budget_there_is_no_limit_to_show(rig: Rig) -> None:
    await rig.look()
    assert figure(rig, "replay_write_budget_bytes") == float("inf")


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (None, "Absent"),
        (autoscaler(), "Active"),
        (
            autoscaler()
            | {
                "status": {
                    "conditions": [{"type": "ScalingActive", "status": "False", "reason": "NoMetrics"}]
                }
            },
            "Inactive",
        ),
        (
            autoscaler()
            | {
                "metadata": autoscaler()["metadata"]
                | {
                    "managedFields": [
                        {
                            "manager": "git",
                            "operation": "Apply",
                            "fieldsV1": {"f:spec": {"f:minReplicas": {}}},
                        }
                    ]
                }
            },
            "HandsOff",
        ),
    ],
    ids=["absent", "active", "inactive", "declared by another"],
)
async def test_how_the_autoscaler_is_can_be_seen(
    rig: Rig, caplog: pytest.LogCaptureFixture, found: dict[str, Any] | None, state: str
) -> None:
    if found is not None:
        rig.cluster.add(AUTOSCALERS, found)
    with caplog.at_level(logging.WARNING):
        await looks(rig, 30)
    assert figure(rig, "replay_fleet_autoscaler", state=state) == 1
    said = [record for record in caplog.records if f"is {state}" in record.message]
    assert len(said) == (state != "Active"), "once, and only when somebody may want to act"
    assert len(rig.cluster.writes_of(AUTOSCALERS.plural)) == (state in {"Active", "Inactive"})

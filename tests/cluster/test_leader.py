"""Leader election on a real API server: hand-over, fail-over, an API that hangs or fails, and its cost."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.lease import LEASES, KubernetesLease
from replay_operator.controller.leader import Elector, LeadershipLost
from replay_operator.domain.leadership import LeaseTimings, renewed
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import ApiFront, serving
from tests.testbed.audit import audit_log_size, audit_records
from tests.testbed.controlplane import ControlPlane
from tests.waiting import until

pytestmark = pytest.mark.cluster

NAME = "replay-operator"
QUICK = LeaseTimings(lease_seconds=6, renew_deadline_seconds=4.0, request_seconds=1.5, retry_seconds=0.5)
DEADLINE_SECONDS = 60.0
HANG = ApiFault(Reaction.HANG)
FAIL = ApiFault(Reaction.REFUSE, statuses=(500,))


def utc_now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[KubernetesGateway]:
    gateway = await KubernetesGateway.connect(kubeconfig)
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
async def gateway(control_plane: ControlPlane) -> AsyncIterator[KubernetesGateway]:
    async with connected(control_plane.kubeconfig) as made:
        yield made


@pytest.fixture
def candidate(gateway: KubernetesGateway, namespace: str) -> Callable[..., Elector]:
    def make(name: str, *, timings: LeaseTimings = QUICK, through: KubernetesGateway = gateway) -> Elector:
        lease = KubernetesLease(through, namespace=namespace, name=NAME)
        return Elector(lease, pod_name=name, utc_now=utc_now, timings=timings)

    return make


@asynccontextmanager
async def beside(work: Awaitable[Any]) -> AsyncIterator[asyncio.Future[Any]]:
    """Let the work run until the block ends, as a SIGKILL would end it: nothing is given up."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def spec(gateway: KubernetesGateway, namespace: str) -> dict[str, Any]:
    lease = await gateway.get(LEASES, namespace, NAME)
    assert lease is not None
    stored: dict[str, Any] = lease["spec"]
    return stored


@pytest.fixture
async def front(control_plane: ControlPlane) -> AsyncIterator[ApiFront]:
    async with serving(control_plane, as_administrator=True) as made:
        yield made


@pytest.fixture
async def through_front(front: ApiFront, tmp_path: Path) -> AsyncIterator[KubernetesGateway]:
    async with connected(front.write_kubeconfig(tmp_path / "kubeconfig")) as made:
        yield made


async def test_one_leads_and_when_it_gives_up_the_next_leads_long_before_the_lease_runs_out(
    candidate: Callable[..., Elector], gateway: KubernetesGateway, namespace: str
) -> None:
    timings = LeaseTimings()
    first, second = candidate("first", timings=timings), candidate("second", timings=timings)
    epoch = await first.acquire()
    async with beside(second.acquire()) as waiting:
        async with beside(first.hold()):
            versions: set[str] = set()
            await until("renewals", lambda: renewals_seen(gateway, namespace, versions, 3))
            assert first.is_leading
            assert not waiting.done()
            assert (await spec(gateway, namespace))["holderIdentity"] == first.identity
        await first.release()
        given_up_at = time.monotonic()
        assert not first.is_leading
        assert await waiting == epoch + 1
    hand_over_seconds = time.monotonic() - given_up_at
    print(f"hand-over by release: {hand_over_seconds:.2f} s (retry interval {timings.retry_seconds} s)")
    assert hand_over_seconds < timings.retry_seconds + timings.request_seconds
    stored = await spec(gateway, namespace)
    assert (stored["holderIdentity"], stored["leaseTransitions"]) == (second.identity, epoch + 1)
    await second.release()
    assert (await spec(gateway, namespace))["holderIdentity"] == ""


async def renewals_seen(gateway: KubernetesGateway, namespace: str, times: set[str], count: int) -> bool:
    times.add((await spec(gateway, namespace))["renewTime"])
    return len(times) > count


async def test_a_leader_that_is_killed_is_replaced_after_lease_time_and_retry_interval_at_most(
    candidate: Callable[..., Elector], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    timings = LeaseTimings()
    killed, heir = candidate("killed", timings=timings), candidate("heir", timings=timings)
    epoch = await killed.acquire()
    async with beside(heir.acquire()) as waiting:
        async with beside(killed.hold()):
            await until("a candidate", lambda: "we stand by" in caplog.text)
        killed_at = time.monotonic()
        assert await waiting == epoch + 1
    fail_over_seconds = time.monotonic() - killed_at
    bound = timings.lease_seconds + timings.retry_seconds
    print(f"fail-over after a kill: {fail_over_seconds:.2f} s (stated bound {bound} s)")
    # Beyond the bound, one look and one write may each be slow on a busy machine.
    assert fail_over_seconds < bound + 2 * timings.request_seconds


async def test_a_leader_whose_api_server_hangs_stops_by_its_own_clock_before_another_can_lead(
    candidate: Callable[..., Elector], front: ApiFront, through_front: KubernetesGateway
) -> None:
    cut_off, heir = candidate("cut-off", through=through_front), candidate("heir")
    await cut_off.acquire()
    async with beside(heir.acquire()) as waiting:
        front.faults = (HANG,)
        hung_at = time.monotonic()
        with pytest.raises(LeadershipLost, match="no renewal for 4"):
            await cut_off.hold()
        lost_after_seconds = time.monotonic() - hung_at
        assert front.met[HANG] > 0
        assert not cut_off.is_leading
        assert not waiting.done()
        await waiting
    assert heir.is_leading
    print(f"API server hangs: stopped after {lost_after_seconds:.2f} s (deadline 4 s),", end=" ")
    print(f"replaced after {time.monotonic() - hung_at:.2f} s (lease 6 s)")


async def test_an_api_server_that_fails_for_less_than_the_deadline_deposes_nobody(
    candidate: Callable[..., Elector],
    gateway: KubernetesGateway,
    namespace: str,
    front: ApiFront,
    through_front: KubernetesGateway,
) -> None:
    leader = candidate("leader", through=through_front)
    epoch = await leader.acquire()
    async with beside(leader.hold()) as holding:
        front.faults = (FAIL,)
        await until("refused renewals", lambda: front.met[FAIL] >= 3)
        front.faults = ()
        version = (await spec(gateway, namespace))["renewTime"]
        await until("renewals", lambda: renewals_seen(gateway, namespace, {version}, 1))
        assert not holding.done()
        assert leader.is_leading
    assert (await spec(gateway, namespace))["leaseTransitions"] == epoch


async def test_of_candidates_that_start_together_one_leads(candidate: Callable[..., Elector]) -> None:
    candidates = [candidate(f"c{number}") for number in range(5)]
    tasks = [asyncio.ensure_future(one.acquire()) for one in candidates]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert [one.is_leading for one in candidates].count(True) == 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_note_that_somebody_puts_on_the_lease_stays_and_deposes_nobody(
    candidate: Callable[..., Elector],
    control_plane: ControlPlane,
    gateway: KubernetesGateway,
    namespace: str,
) -> None:
    leader = candidate("leader")
    await leader.acquire()
    control_plane.kubectl("annotate", "lease", NAME, "--namespace", namespace, "note=hands off")
    async with beside(leader.hold()) as holding:
        times: set[str] = set()
        await until("renewals", lambda: renewals_seen(gateway, namespace, times, 3))
        assert not holding.done()
        assert leader.is_leading
    lease = await gateway.get(LEASES, namespace, NAME)
    assert lease is not None
    assert lease["metadata"]["annotations"]["note"] == "hands off"


async def test_a_leader_whose_lease_is_deleted_stops_before_the_next_one_leads(
    candidate: Callable[..., Elector],
    gateway: KubernetesGateway,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    deposed, heir = candidate("deposed"), candidate("heir")
    epoch = await deposed.acquire()
    async with beside(heir.acquire()) as waiting:
        await until("a candidate", lambda: "we stand by" in caplog.text)
        await gateway.delete(LEASES, namespace, NAME)
        with pytest.raises(LeadershipLost, match="deleted"):
            await deposed.hold()
        assert not waiting.done()
        assert await waiting > epoch
    assert (await spec(gateway, namespace))["holderIdentity"] == heir.identity


async def test_a_write_over_an_older_version_is_refused(
    candidate: Callable[..., Elector], gateway: KubernetesGateway, namespace: str
) -> None:
    lease = KubernetesLease(gateway, namespace=namespace, name=NAME)
    leader = candidate("leader")
    await leader.acquire()
    old = await lease.read()
    assert old is not None
    await leader.release()
    with pytest.raises(Conflict):
        await lease.write(renewed(old, wall_now=utc_now()))
    await gateway.delete(LEASES, namespace, NAME)
    with pytest.raises(Conflict):
        await lease.write(renewed(old, wall_now=utc_now()))
    assert await lease.read() is None


async def test_an_idle_leader_costs_one_write_each_retry_interval_and_no_reads(
    candidate: Callable[..., Elector], control_plane: ControlPlane, namespace: str
) -> None:
    leader = candidate("leader")
    await leader.acquire()
    control_plane.flush_audit_log()
    offset, begun_at = audit_log_size(control_plane.audit_log), time.monotonic()

    def renewals() -> list[str]:
        records = audit_records(control_plane.audit_log, offset=offset)
        return [
            record.verb for record in records if (record.namespace, record.resource) == (namespace, "leases")
        ]

    async with beside(leader.hold()):
        await until("renewals", lambda: len(renewals()) >= 6)
    passed_seconds = time.monotonic() - begun_at
    verbs = renewals()
    print(f"idle leader: {len(verbs)} writes in {passed_seconds:.1f} s, retry {QUICK.retry_seconds} s")
    assert set(verbs) == {"update"}
    assert len(verbs) <= passed_seconds / QUICK.retry_seconds + 1

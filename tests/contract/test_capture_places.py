"""Many captures at once: never more Jobs than places, owners in turn, no write when the line moves."""

from __future__ import annotations

import asyncio

import pytest

from replay_operator.api.capture_job import CaptureResult
from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.gateway import ClusterUnreachable
from replay_operator.cluster.resources import BUFFERS, CAPTURES, JOBS
from replay_operator.controller.keys import Key, Kind
from tests.builders import NAMESPACE, at, buffer_body, capture_body, rfc3339
from tests.contract.rig import Rig
from tests.contract.test_capture_flow import CLIP

PLACES = 3
OTHER_BUFFER = "b1b1b1b1-0000-4000-8000-000000000003"
ASKED = {"range": {"between": {"start": rfc3339(at(0)), "end": rfc3339(at(5))}}}


@pytest.fixture
async def busy(rig: Rig) -> Rig:
    """Two buffers, of ann and of bob, that record."""
    rig.buffers.put(rig.cluster.add(BUFFERS, buffer_body(owner="ann", windowSeconds=14400)))
    await rig.bring_up()
    other = buffer_body(name="bob-screen", uid=OTHER_BUFFER, owner="bob", suspend=True)
    rig.buffers.put(rig.cluster.add(BUFFERS, other))
    return rig


def ask(rig: Rig, uid: str, *, buffer: str = "alice-screen", created: float = 0) -> None:
    body = capture_body(name=f"clip-{uid}", uid=uid, **(ASKED | {"bufferRef": {"name": buffer}}))
    body["metadata"]["creationTimestamp"] = rfc3339(at(created))
    rig.captures.put(rig.cluster.add(CAPTURES, body))


def stored(rig: Rig, uid: str) -> ReplayCapture:
    return ReplayCapture.model_validate(rig.cluster.stored(CAPTURES, NAMESPACE, f"clip-{uid}"))


def state(rig: Rig, uid: str) -> str:
    ready = find_condition(stored(rig, uid).status.conditions, "Ready")
    return ready.reason if ready else ""


def in_state(rig: Rig, reason: str) -> list[str]:
    uids = [body["metadata"]["uid"] for body in rig.cluster.all_of(CAPTURES)]
    return sorted(uid for uid in uids if state(rig, uid) == reason)


async def reconcile(rig: Rig, *uids: str) -> None:
    for uid in uids:
        await rig.operator.captures.reconcile(uid)


async def pinned(rig: Rig, *uids: str) -> None:
    await reconcile(rig, *uids)
    await rig.policy.publish()


def job_of(rig: Rig, uid: str) -> str:
    job = stored(rig, uid).status.job
    assert job is not None
    return job.name


async def clip_is_made(rig: Rig, uid: str) -> None:
    message = CaptureResult(capture_uid=uid, clip=CLIP).model_dump_json(by_alias=True)
    rig.job_ends(job_of(rig, uid), condition="Complete", message=message)
    await reconcile(rig, uid)


async def test_never_more_jobs_than_places_even_when_all_are_reconciled_at_once(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(8)]
    for uid in uids:
        ask(busy, uid)
    await pinned(busy, *uids)
    await asyncio.gather(*(reconcile(busy, uid) for uid in uids))
    assert len(busy.job_names) == PLACES
    assert len(in_state(busy, "Cutting")) == PLACES
    assert len(in_state(busy, "Queued")) == len(uids) - PLACES
    assert busy.agent.pinned() == set(uids), "who waits is pinned"


async def test_who_waits_is_woken_when_a_place_gets_free_and_nobody_else_is(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(5)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    await busy.woken()
    await clip_is_made(busy, uids[0])
    assert await busy.woken() == {Key(Kind.CAPTURE, uids[3])}
    await reconcile(busy, uids[3])
    assert in_state(busy, "Queued") == [uids[4]]


async def test_a_job_keeps_its_place_until_it_has_added_the_extras(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(4)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    message = CaptureResult(capture_uid=uids[0], clip=CLIP).model_dump_json(by_alias=True)
    busy.pod_tells(job_of(busy, uids[0]), message, uid=uids[0])
    await reconcile(busy, uids[0])
    assert state(busy, uids[0]) == "ClipReady"
    await busy.woken()
    await busy.operator.install.reconcile()
    assert await busy.woken() == set(), "there are three Jobs still"
    await clip_is_made(busy, uids[0])
    assert await busy.woken() == {Key(Kind.CAPTURE, uids[3])}


async def test_the_line_moves_without_a_write_to_those_who_wait(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(6)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    versions = stored(busy, uids[5]).metadata.resource_version
    await clip_is_made(busy, uids[0])
    await reconcile(busy, *uids)
    assert stored(busy, uids[5]).metadata.resource_version == versions


async def test_owners_take_turns(busy: Rig) -> None:
    ann = [f"aaaaaaa{n}" for n in range(6)]
    bob = [f"bbbbbbb{n}" for n in range(3)]
    for uid in ann:
        ask(busy, uid, created=0)
    for uid in bob:
        ask(busy, uid, buffer="bob-screen", created=60)
    await pinned(busy, *ann, *bob)
    await reconcile(busy, *ann, *bob)
    order = in_state(busy, "Cutting")
    running = list(order)
    assert len(running) == PLACES
    while running:
        busy.clock.go_on(1)
        done = running.pop(0)
        await clip_is_made(busy, done)
        woken = [key.uid for key in await busy.woken() if key.kind is Kind.CAPTURE]
        await reconcile(busy, *woken)
        new = [uid for uid in in_state(busy, "Cutting") if uid not in order]
        order += new
        running += new
    assert sorted(order) == [*ann, *bob]
    assert max(order.index(uid) for uid in bob) < 8, "ann asked first for six, and bob does not come last"
    assert [uid for uid in order if uid in ann] == ann, "first come, first served within an owner"


async def test_a_new_process_counts_the_jobs_of_the_old_one(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(5)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    new = busy.restarted()
    await new.look()
    writes = len(new.cluster.writes)
    await reconcile(new, *uids)
    await new.policy.publish()
    await reconcile(new, *uids)
    assert len(new.cluster.writes) == writes
    assert len(new.job_names) == PLACES


async def test_a_job_whose_capture_could_not_say_so_takes_its_place_all_the_same(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(4)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    busy.cluster.away_for = {"patch replaycaptures"}
    with pytest.raises(ClusterUnreachable):
        await reconcile(busy, uids[0])  # its Job is made, and its status is not written
    busy.cluster.away_for = set()
    new = busy.restarted()
    await new.look()
    await new.policy.publish()
    await reconcile(new, uids[1], uids[2], uids[3])
    assert len(new.job_names) == PLACES
    await reconcile(new, uids[0])
    assert len(new.job_names) == PLACES
    assert state(new, uids[0]) == "Cutting"


async def test_who_has_a_job_already_does_not_go_back_into_the_line(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(4)]
    for uid in uids[:3]:
        ask(busy, uid, created=1)
    ask(busy, uids[3], created=9)
    await pinned(busy, *uids)
    busy.cluster.away_for = {"patch replaycaptures"}
    with pytest.raises(ClusterUnreachable):
        await reconcile(busy, uids[3])
    busy.cluster.away_for = set()
    await reconcile(busy, *uids)
    assert state(busy, uids[3]) == "Cutting"
    assert len(busy.job_names) == PLACES


async def test_a_start_that_fails_gives_its_place_back(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(4)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, uids[1], uids[2])
    busy.cluster.away_for = {"create jobs"}
    with pytest.raises(ClusterUnreachable):
        await reconcile(busy, uids[0])
    busy.cluster.away_for = set()
    await reconcile(busy, uids[3])
    assert len(busy.job_names) == PLACES


async def test_a_capture_that_is_deleted_gives_its_place_to_the_next_when_its_job_is_gone(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(4)]
    for uid in uids:
        ask(busy, uid, created=int(uid[-1]))
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    job = busy.cluster.stored(JOBS, NAMESPACE, job_of(busy, uids[0]))
    await busy.user_deletes_capture(f"clip-{uids[0]}")
    await busy.woken()
    await reconcile(busy, uids[0])
    assert Key(Kind.CAPTURE, uids[3]) not in await busy.woken(), "its pod may still write"
    busy.cluster.remove(JOBS, NAMESPACE, job["metadata"]["name"])
    busy.operator.inbox.job("DELETED", job)
    await busy.woken()
    await reconcile(busy, uids[0])
    assert Key(Kind.CAPTURE, uids[3]) in await busy.woken()


async def test_the_places_and_the_line_are_measured(busy: Rig) -> None:
    uids = [f"aaaaaaa{n}" for n in range(5)]
    for uid in uids:
        ask(busy, uid)
    await pinned(busy, *uids)
    await reconcile(busy, *uids)
    await busy.look()
    figure = busy.metrics.registry.get_sample_value
    assert figure("replay_operator_capture_jobs") == PLACES
    assert figure("replay_operator_captures_queued") == 2

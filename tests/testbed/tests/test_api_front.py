"""The front of the API server: what it passes on, and each thing that it does instead."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.testbed.api_faults import ApiCall, ApiFault, Reaction
from tests.testbed.api_front import ApiFront, serving, serving_in_a_thread
from tests.testbed.controlplane import ControlPlane

PUT = ApiCall("PUT", "/api/v1/namespaces/x/leases/one")
LIST = ApiCall("GET", "/api/v1/pods?limit=500")
WATCH = ApiCall("GET", "/api/v1/pods?watch=true&resourceVersion=7")


def test_a_status_is_given_only_where_an_api_server_would_give_it() -> None:
    every = ApiFault(Reaction.REFUSE, statuses=(409, 410, 429, 503))
    chance = random.Random(1)
    drawn = {call: {every.status_for(call, chance) for _ in range(200)} for call in (PUT, LIST, WATCH)}
    assert drawn == {PUT: {409, 429, 503}, LIST: {429, 503}, WATCH: {410, 429, 503}}


def test_a_fault_hits_what_its_conditions_say() -> None:
    fault = ApiFault(Reaction.HANG, methods=frozenset({"PUT"}), path="/leases/", body=b"me", share=0.5)
    mine = ApiCall("PUT", PUT.path, b"it is me")
    assert fault.hits(mine, 0.4)
    assert not fault.hits(mine, 0.6)
    assert not fault.hits(PUT, 0.4)
    assert not fault.hits(ApiCall("GET", PUT.path, b"me"), 0.4)
    assert not ApiFault(Reaction.REFUSE, spares="/leases/").hits(PUT, 0.0)
    assert ApiFault(Reaction.EXPIRE, only_watches=True).hits(WATCH, 0.0)
    assert not ApiFault(Reaction.EXPIRE, only_watches=True).hits(LIST, 0.0)


@pytest.fixture
async def front(control_plane: ControlPlane) -> AsyncIterator[ApiFront]:
    async with serving(control_plane, as_administrator=True) as made:
        yield made


@pytest.fixture
async def client(front: ApiFront) -> AsyncIterator[aiohttp.ClientSession]:
    patience = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{front.port}", timeout=patience) as session:
        yield session


def _note(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


@pytest.mark.cluster
async def test_without_a_fault_requests_and_watches_pass_and_a_cut_breaks_the_watches(
    front: ApiFront, client: aiohttp.ClientSession, namespace: str
) -> None:
    notes = f"/api/v1/namespaces/{namespace}/configmaps"
    async with client.get(notes, params={"watch": "true", "fieldSelector": "metadata.name=one"}) as watch:
        async with client.post(notes, json=_note("one")) as made:
            assert made.status == 201
        event = json.loads(await watch.content.readline())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "one")
        front.cut_watches()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.readline()


@pytest.mark.cluster
async def test_each_reaction_does_what_it_says(
    front: ApiFront, client: aiohttp.ClientSession, namespace: str
) -> None:
    notes = f"/api/v1/namespaces/{namespace}/configmaps"

    async def post(name: str) -> int:
        async with client.post(notes, json=_note(name)) as answer:
            return answer.status

    async def exists(name: str) -> bool:
        front.faults = ()
        async with client.get(f"{notes}/{name}") as answer:
            return answer.status == 200

    refuse = ApiFault(Reaction.REFUSE, methods=frozenset({"POST"}), statuses=(429,))
    front.faults = (refuse,)
    assert await post("refused") == 429
    assert front.met[refuse] == 1
    assert not await exists("refused")
    front.faults = (ApiFault(Reaction.LOSE_ANSWER),)
    assert await post("lost") == 504
    assert await exists("lost")
    front.faults = (ApiFault(Reaction.DELAY, seconds=0.01),)
    assert await post("late") == 201
    front.faults = (ApiFault(Reaction.HANG, body=b"hung"),)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(post("hung"), 0.2)
    assert not await exists("hung")
    front.faults = (ApiFault(Reaction.EXPIRE, only_watches=True),)
    async with client.get(notes, params={"watch": "true"}) as watch:
        assert json.loads(await watch.content.readline())["object"]["code"] == 410


@pytest.mark.cluster
async def test_for_pods_it_speaks_tls_that_they_trust_and_gives_nobody_rights(
    control_plane: ControlPlane,
) -> None:
    tls = ssl.create_default_context(cafile=str(control_plane.pki.ca.certificate))
    with serving_in_a_thread(control_plane) as front:
        async with aiohttp.ClientSession(f"https://127.0.0.1:{front.port}") as session:
            async with session.get("/api/v1/secrets", ssl=tls) as answer:
                assert answer.status == 403
            fault = ApiFault(Reaction.REFUSE, statuses=(503,))
            front.break_with(fault)
            async with session.get("/version", ssl=tls) as answer:
                assert answer.status == 503
            assert front.met(fault) == 1
            front.heal()
            async with session.get("/version", ssl=tls) as answer:
                assert answer.status == 200

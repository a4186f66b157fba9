"""An object that is read by its name with the right to list alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import ApiClient, Configuration

from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import BUFFERS


@pytest.fixture
async def asked() -> AsyncIterator[tuple[KubernetesGateway, list[str]]]:
    questions: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        questions.append(f"{request.method} {request.path} {dict(request.query)}")
        found = [{"metadata": {"name": "alice"}}] if request.query["fieldSelector"].endswith("=alice") else []
        return web.json_response({"items": found})

    app = web.Application()
    app.router.add_get("/apis/replaybuffer.dev/v1alpha1/namespaces/team/replaybuffers", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        gateway = KubernetesGateway(ApiClient(Configuration(host=str(server.make_url("")))))
        yield gateway, questions
        await gateway.close()


async def test_it_is_asked_for_by_a_list_of_one(asked: tuple[KubernetesGateway, list[str]]) -> None:
    gateway, questions = asked

    assert await gateway.named(BUFFERS, "team", "alice") == {"metadata": {"name": "alice"}}
    assert await gateway.named(BUFFERS, "team", "bob") is None
    assert questions[0] == (
        "GET /apis/replaybuffer.dev/v1alpha1/namespaces/team/replaybuffers "
        "{'fieldSelector': 'metadata.name=alice', 'limit': '1'}"
    )

"""The operator's side of the agent protocol, against an HTTP server that answers what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from replay_operator.api.agent import ClipDeletion, Policy, PolicyAck, RunFile
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable, NotItsClip
from replay_operator.domain.layout import RunPath
from tests.builders import BUFFER_UID, NAMESPACE
from tests.testbed.ports import free_ports

TOKEN = "a-token-of-the-tests"
RUN = RunFile(room="standup", buffer="alice-screen", segment_seconds=6)
PATH = RunPath(NAMESPACE, BUFFER_UID, "20261123T120000Z-abcdef")
COVERAGE = '{"asOf": "2026-11-23T12:00:00Z", "complete": true, "epoch": 1, "seq": 1}'


@dataclass
class Answering:
    """What the server answers next, and what it was asked."""

    client: AgentClient
    token_file: Path
    status: int = 200
    body: str = "{}"
    accepts: str = ""
    """The one token that it knows; empty: it takes any."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Answering]:
    async def handle(request: web.Request) -> web.Response:
        await request.read()
        answering.asked.append((request.method, request.path_qs, request.headers["Authorization"]))
        if answering.accepts and request.headers["Authorization"] != f"Bearer {answering.accepts}":
            return web.Response(status=401, text="none that this agent accepts")
        return web.Response(status=answering.status, text=answering.body)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    async with aiohttp.ClientSession() as session:
        answering = Answering(AgentClient(f"http://{host}:{port}/", token_file, session), token_file)
        yield answering
    await runner.cleanup()


async def test_a_policy_that_is_taken_is_acknowledged(agent: Answering) -> None:
    agent.body = '{"epoch": 3, "seq": 7}'
    assert await agent.client.put_policy(Policy(epoch=3, seq=7, complete=True)) == PolicyAck(epoch=3, seq=7)
    assert agent.asked == [("PUT", "/v1/policy", f"Bearer {TOKEN}")]


async def test_a_policy_that_is_refused_as_old_tells_which_one_is_in_force(agent: Answering) -> None:
    agent.status, agent.body = 409, '{"epoch": 9, "seq": 1}'
    assert await agent.client.put_policy(Policy(epoch=3, seq=7, complete=True)) == PolicyAck(epoch=9, seq=1)


async def test_a_run_is_named_by_its_path(agent: Answering) -> None:
    await agent.client.put_run(PATH, RUN)
    assert agent.asked[0][:2] == ("PUT", f"/v1/runs/{PATH.relative}")


async def test_a_clip_that_was_deleted_is_told_by_silence(agent: Answering) -> None:
    await agent.client.delete_clip(ClipDeletion(path="team/a/b-12345678.mp4", capture_uid="12345678-x"))
    assert agent.asked[0][:2] == ("POST", "/v1/clips/delete")


async def test_a_clip_is_dropped_in_a_way_that_no_older_agent_takes_for_deletion(agent: Answering) -> None:
    await agent.client.drop_clip(ClipDeletion(path="team/a/b-12345678.mp4", capture_uid="12345678-x"))
    assert agent.asked[0][:2] == ("POST", "/v1/clips/drop")


async def test_a_clip_that_the_agent_will_not_delete_is_no_agent_that_is_away(agent: Answering) -> None:
    agent.status, agent.body = 409, '{"error": "it belongs to another capture"}'
    with pytest.raises(NotItsClip, match="it belongs to another capture"):
        await agent.client.delete_clip(ClipDeletion(path="team/x.mp4", capture_uid="12345678-x"))
    agent.status = 500
    with pytest.raises(AgentUnavailable):
        await agent.client.delete_clip(ClipDeletion(path="team/x.mp4", capture_uid="12345678-x"))


async def test_coverage_is_read(agent: Answering) -> None:
    agent.body = COVERAGE
    assert (await agent.client.coverage()).complete


async def test_changes_are_asked_for_by_the_mark_of_the_last_answer(agent: Answering) -> None:
    agent.body = COVERAGE
    await agent.client.coverage()
    await agent.client.coverage("ab&cd.7")
    assert [path for _, path, _ in agent.asked] == ["/v1/coverage", "/v1/coverage?since=ab%26cd.7"]


async def test_a_rotated_token_is_in_force_at_the_next_request(agent: Answering) -> None:
    await agent.client.put_run(PATH, RUN)
    agent.token_file.write_text("the-next-token")
    await agent.client.put_run(PATH, RUN)
    assert [headers for *_, headers in agent.asked] == [f"Bearer {TOKEN}", "Bearer the-next-token"]


async def test_an_agent_that_knows_only_the_token_of_before_is_asked_with_that_one(agent: Answering) -> None:
    agent.token_file.write_text("the-next-token")
    agent.token_file.with_name("previous-token").write_text(f"{TOKEN}\n")
    agent.accepts, agent.body = TOKEN, '{"epoch": 3, "seq": 7}'
    assert await agent.client.put_policy(Policy(epoch=3, seq=7, complete=True)) == PolicyAck(epoch=3, seq=7)
    agent.accepts = "the-next-token"
    await agent.client.put_run(PATH, RUN)
    sent = [headers.removeprefix("Bearer ") for *_, headers in agent.asked]
    assert sent == ["the-next-token", TOKEN, "the-next-token"]


async def test_an_agent_that_knows_neither_token_is_asked_twice_and_no_more(agent: Answering) -> None:
    agent.token_file.with_name("previous-token").write_text("the-token-of-before")
    agent.accepts = "another"
    with pytest.raises(AgentUnavailable, match=r"answered 401 to PUT /v1/runs/.*none that") as failed:
        await agent.client.put_run(PATH, RUN)
    assert "the-token-of-before" not in str(failed.value)
    assert len(agent.asked) == 2


@pytest.mark.parametrize("status", [404, 409, 503])
async def test_only_a_refused_token_has_the_one_of_before_tried(agent: Answering, status: int) -> None:
    agent.token_file.with_name("previous-token").write_text("the-token-of-before")
    agent.status = status
    with pytest.raises(AgentUnavailable):
        await agent.client.put_run(PATH, RUN)
    assert len(agent.asked) == 1


@pytest.mark.parametrize("status", [401, 404, 409, 500, 503])
async def test_a_refusal_says_what_was_asked_and_never_the_token(agent: Answering, status: int) -> None:
    agent.status, agent.body = status, "because of the test"
    with pytest.raises(AgentUnavailable, match=f"answered {status} to PUT /v1/runs/.*because") as failed:
        await agent.client.put_run(PATH, RUN)
    assert TOKEN not in str(failed.value)


@pytest.mark.parametrize("body", ["", "<html>a proxy</html>", '{"complete": true}', "[]"])
async def test_an_answer_that_makes_no_sense_is_no_answer(agent: Answering, body: str) -> None:
    agent.body = body
    with pytest.raises(AgentUnavailable):
        await agent.client.coverage()
    with pytest.raises(AgentUnavailable):
        await agent.client.put_policy(Policy(epoch=3, seq=7, complete=True))


async def test_a_missing_token_file_is_an_agent_that_cannot_be_asked(agent: Answering) -> None:
    agent.token_file.unlink()
    with pytest.raises(AgentUnavailable):
        await agent.client.coverage()
    assert agent.asked == []


async def test_a_port_where_nobody_listens_is_an_agent_that_is_away(agent: Answering) -> None:
    (port,) = free_ports(1)
    async with aiohttp.ClientSession() as session:
        gone = AgentClient(f"http://127.0.0.1:{port}", agent.token_file, session)
        with pytest.raises(AgentUnavailable, match="did not answer GET /v1/coverage"):
            await gone.coverage()

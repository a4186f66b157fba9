"""The stream of `exec` against a scripted API server on the loopback address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.exec import output_of
from replay_operator.kubectl.session import ClusterFlags, connect

SUCCESS = b"\x03" + json.dumps({"status": "Success"}).encode()
FAILURE = (
    b"\x03" + json.dumps({"status": "Failure", "message": "command terminated with exit code 1"}).encode()
)

Serve = Callable[..., Awaitable[Path]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a server that sends messages to whoever runs a command; gives a kubeconfig for it."""
    runners: list[web.AppRunner] = []

    async def start(*messages: bytes, status: int = 101, asked: list[web.Request] | None = None) -> Path:
        async def answer(request: web.Request) -> web.StreamResponse:
            if asked is not None:
                asked.append(request)
            if status != 101:
                return web.Response(status=status)
            socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
            await socket.prepare(request)
            for message in messages:
                await socket.send_bytes(message)
            await socket.close()
            return socket

        application = web.Application()
        application.router.add_get("/api/v1/namespaces/replay/pods/{pod}/exec", answer)
        runners.append(web.AppRunner(application, access_log=None))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        port = runners[-1].addresses[0][1]
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "contexts": [
                {"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "replay"}}
            ],
            "users": [{"name": "me", "user": {"token": "abc"}}],
        }
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))
        return kubeconfig

    yield start
    for runner in runners:
        await runner.cleanup()


async def output(kubeconfig: Path, *command: str) -> bytes:
    async with connect(ClusterFlags(kubeconfig=kubeconfig)) as session:
        return b"".join([chunk async for chunk in output_of(session, "pod", "main", command)])


async def test_standard_output_comes_byte_for_byte(serve: Serve) -> None:
    content = bytes(range(256))
    kubeconfig = await serve(b"\x01", b"\x01" + content, b"\x02complaint", b"\x01" + content, SUCCESS)
    assert await output(kubeconfig, "cat") == content * 2


async def test_the_command_reaches_the_server_word_for_word_with_the_users_token(serve: Serve) -> None:
    asked: list[web.Request] = []
    kubeconfig = await serve(SUCCESS, asked=asked)
    await output(kubeconfig, "cat", "/archive/a b&c=d/é.mp4")
    (request,) = asked
    assert request.query.getall("command") == ["cat", "/archive/a b&c=d/é.mp4"]
    assert (request.query["container"], request.query["stdout"], request.query["stderr"]) == (
        "main",
        "true",
        "true",
    )
    assert request.headers["Authorization"] == "Bearer abc"


async def test_a_command_that_fails_is_told_with_its_complaint(serve: Serve) -> None:
    with pytest.raises(PluginError, match=r"^cat failed in pod pod: cat: no such file$"):
        await output(await serve(b"\x02cat: no such ", b"\x02file\n", FAILURE), "cat")


async def test_a_command_that_fails_in_silence_is_told_with_the_servers_words(serve: Serve) -> None:
    with pytest.raises(PluginError, match="cat failed in pod pod: command terminated with exit code 1"):
        await output(await serve(FAILURE), "cat")


async def test_a_stream_without_an_end_has_broken_off(serve: Serve) -> None:
    with pytest.raises(PluginError, match="the stream from pod pod broke off"):
        await output(await serve(b"\x01half"), "cat")


async def test_who_may_not_run_commands_hears_which_verbs_that_takes(serve: Serve) -> None:
    with pytest.raises(PluginError, match="takes the verbs get and create on pods/exec in namespace replay"):
        await output(await serve(status=403), "cat")


async def test_a_pod_that_is_not_there_is_told(serve: Serve) -> None:
    with pytest.raises(PluginError, match="exec in pod pod: the API server answered HTTP 404"):
        await output(await serve(status=404), "cat")

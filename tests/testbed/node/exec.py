"""Serves `kubectl exec` without standard input: the WebSocket that the API server passes on to the kubelet.

The protocol is v4.channel.k8s.io: each message begins with the number of its channel, and the last one on the
error channel is a Status. A client that asks for v5 is translated to SPDY by the API server, which is not
played here. It needs containers in namespaces that root has made.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Sequence
from http import HTTPStatus

from aiohttp import web

from tests.testbed.node.containers import ContainerProcess

_PROTOCOL = "v4.channel.k8s.io"
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_CHUNK_BYTES = 32 * 1024

FindProcess = Callable[[str, str, str], ContainerProcess]


def exec_routes(find_process: FindProcess) -> list[web.RouteDef]:
    """The route of the kubelet's API.

    Args:
        find_process: (namespace, pod, container) -> its running process; LookupError when there is none.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        where = request.match_info
        try:
            process = find_process(where["namespace"], where["pod"], where["container"])
        except LookupError as error:
            return web.Response(status=HTTPStatus.NOT_FOUND, text=f"{error}\n")
        socket = web.WebSocketResponse(protocols=(_PROTOCOL,))
        await socket.prepare(request)
        await _run(socket, command_in(process, request.query.getall("command")), process)
        await socket.close()
        return socket

    return [web.get("/exec/{namespace}/{pod}/{container}", answer)]


def command_in(container: ContainerProcess, command: Sequence[str]) -> list[str]:
    """The command that runs another one as the container's user, in its namespaces."""
    who = container.plan.credentials
    groups = ["--groups", ",".join(map(str, who.groups))] if who.groups else ["--clear-groups"]
    user = ["setpriv", "--reuid", str(who.uid), "--regid", str(who.gid), *groups, "--no-new-privs"]
    namespaces = ["nsenter", "--target", str(container.pid), "--mount", "--uts", "--pid", "--root", "--wd"]
    return [*namespaces, "--", *user, "--", *command]


async def _run(socket: web.WebSocketResponse, command: Sequence[str], container: ContainerProcess) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(container.plan.env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.TaskGroup() as streams:
            streams.create_task(_pass_on(socket, _STDOUT, process.stdout))
            streams.create_task(_pass_on(socket, _STDERR, process.stderr))
        await socket.send_bytes(bytes([_ERROR]) + _status(await process.wait()))
    except* ConnectionError:
        pass  # the client has gone
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def _pass_on(socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader | None) -> None:
    while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
        await socket.send_bytes(bytes([channel]) + chunk)


def _status(exit_code: int) -> bytes:
    if exit_code == 0:
        return json.dumps({"metadata": {}, "status": "Success"}).encode()
    failure = {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }
    return json.dumps(failure).encode()

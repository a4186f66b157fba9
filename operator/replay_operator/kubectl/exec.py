"""The output of a command in a pod, as `kubectl exec` gives it.

Through the WebSocket protocol v4.channel.k8s.io, which the API server passes on to the kubelet: each message
begins with the number of its channel. The user needs `get` and `create` on pods/exec: a WebSocket begins with
a GET, and Kubernetes 1.35 also asks for `create` (AuthorizePodWebsocketUpgradeCreatePermission).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.stream import WsApiClient

from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.session import Session

_STDOUT, _STDERR, _ERROR = 1, 2, 3

SILENCE_SECONDS = 60.0
"""A stream without a byte for so long is broken: a volume or a network hangs."""

_LONGEST_COMPLAINT = 500

_REFUSED = (401, 403)


async def output_of(
    session: Session, pod: str, container: str, command: Sequence[str]
) -> AsyncGenerator[bytes]:
    """Run a command in a container and give what it writes to standard output.

    Args:
        session: Where.
        pod: In which pod.
        container: In which container of it.
        command: Program and arguments; no shell reads them.

    Raises:
        PluginError: It may not be run, the stream broke, or the command failed.
    """
    query = [("command", word) for word in command]
    query += [("container", container), ("stdout", "true"), ("stderr", "true")]
    complaint, ended = b"", b""
    async with _socket(session, pod, query) as socket:
        async for channel, data in _messages(socket, pod):
            if channel == _STDOUT and data:
                yield data
            elif channel == _STDERR:
                complaint = (complaint + data)[:_LONGEST_COMPLAINT]
            elif channel == _ERROR:
                ended += data
    if not ended:
        raise PluginError(f"the stream from pod {pod} broke off: try again")
    status = json.loads(ended)
    if status.get("status") != "Success":
        said = complaint.decode(errors="replace").strip() or status.get("message", "no message")
        raise PluginError(f"{command[0]} failed in pod {pod}: {said}")


@asynccontextmanager
async def _socket(
    session: Session, pod: str, query: list[tuple[str, str]]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    client: Any = WsApiClient(session.client.configuration)  # type: ignore[no-untyped-call] # the client ships no types
    path = f"/api/v1/namespaces/{session.namespace}/pods/{pod}/exec"
    try:
        _, url, headers, _, _ = await client.param_serialize(
            "GET", path, query_params=query, auth_settings=["BearerToken"]
        )
        opening = await client.request("GET", url, headers=headers, _preload_content=False)
        async with opening as socket:
            yield socket
    except aiohttp.WSServerHandshakeError as error:
        if error.status in _REFUSED:
            raise PluginError(
                f"you may not run a command in pod {pod}: "
                f"that takes the verbs get and create on pods/exec in namespace {session.namespace}"
            ) from error
        raise PluginError(f"exec in pod {pod}: the API server answered HTTP {error.status}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise PluginError(f"exec in pod {pod}: the connection broke ({type(error).__name__})") from error
    finally:
        await client.close()


async def _messages(socket: aiohttp.ClientWebSocketResponse, pod: str) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            message = await socket.receive(timeout=SILENCE_SECONDS)
        except TimeoutError as error:
            raise PluginError(f"exec in pod {pod}: nothing came for {SILENCE_SECONDS:.0f} s") from error
        if message.type is not aiohttp.WSMsgType.BINARY:
            return  # closed or broken: without a word on the error channel the caller knows
        if message.data:
            yield message.data[0], message.data[1:]

"""Byte streams into pods through the API server: a command's output, and a port.

Both speak the WebSocket protocol v4.channel.k8s.io, which the API server passes on to the kubelet: each
message begins with the number of its channel. The user needs `get` and `create` on pods/exec or
pods/portforward: a WebSocket begins with a GET, and Kubernetes 1.35 also asks for `create`
(AuthorizePodWebsocketUpgradeCreatePermission).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.stream import WsApiClient

from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.session import Session

_STDOUT, _STDERR, _ERROR = 1, 2, 3
_PORT_DATA, _PORT_ERROR = 0, 1
_PORT_BYTES = 2
"""The first message on each channel of a forwarded port is its number, as two bytes."""

SILENCE_SECONDS = 60.0
"""A stream without a byte for so long is broken: a volume or a network hangs."""

_LONGEST_COMPLAINT = 500

_REFUSED = (401, 403)


async def output_of(
    session: Session, pod: str, container: str, command: Sequence[str]
) -> AsyncIterator[bytes]:
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
    async with _socket(session, pod, "exec", query) as socket:
        async for channel, data in _messages(socket, f"exec in pod {pod}"):
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


async def answer_of(session: Session, pod: str, port: int, request: bytes) -> bytes:
    """Send bytes to a port of a pod and give what comes back until it is closed.

    Args:
        session: Where.
        pod: Which pod.
        port: TCP port.
        request: What to send.

    Raises:
        PluginError: The port may not be forwarded, or nothing listens on it.
    """
    answer, complaint, opened = bytearray(), bytearray(), set[int]()
    async with _socket(session, pod, "portforward", [("ports", str(port))]) as socket:
        await socket.send_bytes(bytes([_PORT_DATA]) + request)
        async for channel, data in _messages(socket, f"port {port} of pod {pod}"):
            content = data if channel in opened else data[_PORT_BYTES:]
            opened.add(channel)
            (answer if channel == _PORT_DATA else complaint).extend(content)
    if not answer:
        said = complaint[:_LONGEST_COMPLAINT].decode(errors="replace").strip() or "it was closed"
        raise PluginError(f"port {port} of pod {pod} cannot be reached: {said}")
    return bytes(answer)


@asynccontextmanager
async def _socket(
    session: Session, pod: str, what: str, query: list[tuple[str, str]]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    client: Any = WsApiClient(session.client.configuration)  # type: ignore[no-untyped-call] # the client ships no types
    path = f"/api/v1/namespaces/{session.namespace}/pods/{pod}/{what}"
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
                f"you may not use pods/{what} in namespace {session.namespace}: "
                f"it takes the verbs get and create on pods/{what}"
            ) from error
        raise PluginError(f"pods/{what} of pod {pod}: the API server answered HTTP {error.status}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise PluginError(
            f"pods/{what} of pod {pod}: the connection broke ({type(error).__name__})"
        ) from error
    finally:
        await client.close()


async def _messages(socket: aiohttp.ClientWebSocketResponse, what: str) -> AsyncIterator[tuple[int, bytes]]:
    while True:
        try:
            message = await socket.receive(timeout=SILENCE_SECONDS)
        except TimeoutError as error:
            raise PluginError(f"{what}: nothing came for {SILENCE_SECONDS:.0f} s") from error
        if message.type is aiohttp.WSMsgType.BINARY and message.data:
            yield message.data[0], message.data[1:]
        elif message.type is aiohttp.WSMsgType.TEXT and message.data:
            content = message.data.encode()
            yield content[0], content[1:]
        elif message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED):
            return
        elif message.type is aiohttp.WSMsgType.ERROR:
            raise PluginError(f"{what}: the stream broke off")

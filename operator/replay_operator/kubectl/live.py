"""Live figures of the windows, from the agent through a forwarded port.

Its token lies in a Secret: who may not read that gets no live figures, and hears so.
"""

from __future__ import annotations

import base64
import http.client
import io
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from replay_operator.api.agent import Coverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.gateway import ClusterError
from replay_operator.cluster.resources import ResourceType
from replay_operator.domain.layout import buffer_path
from replay_operator.kubectl.agent_pod import find_agent
from replay_operator.kubectl.errors import PluginError, server_sentence
from replay_operator.kubectl.session import Session
from replay_operator.kubectl.streams import answer_of
from replay_operator.kubectl.window import Window, window_of

SECRETS = ResourceType("", "v1", "secrets", "Secret")

_COVERAGE = "/v1/coverage"


@dataclass(frozen=True, slots=True)
class LiveWindows:
    """What lies on disk by the buffers' uids; without it, why not."""

    windows: dict[str, Window] | None
    why_not: str = ""


async def live_windows(session: Session, buffers: Sequence[ReplayBuffer]) -> LiveWindows:
    """Ask the agent what lies on disk of some buffers.

    Args:
        session: Where they are.
        buffers: Which ones.
    """
    try:
        coverage = await _coverage(session)
    except ClusterError as error:
        return LiveWindows(None, server_sentence(error))
    except PluginError as error:
        return LiveWindows(None, str(error))
    if not coverage.complete:
        return LiveWindows(None, "the agent has started a moment ago and still reads its volume")
    by_path = {each.path: each for each in coverage.buffers}
    found = {
        buffer.metadata.uid: window_of(
            by_path.get(buffer_path(buffer.metadata.namespace, buffer.metadata.uid))
        )
        for buffer in buffers
    }
    return LiveWindows({uid: window for uid, window in found.items() if window is not None})


async def _coverage(session: Session) -> Coverage:
    agent = await find_agent(session)
    secret = await session.get(SECRETS, agent.token_secret)
    token = base64.b64decode(secret.get("data", {}).get("token", "")).decode().strip()
    request = (
        f"GET {_COVERAGE} HTTP/1.1\r\nHost: {agent.name}\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nConnection: close\r\n\r\n"
    )
    status, body = read_answer(await answer_of(session, agent.name, agent.port, request.encode()))
    if status != http.HTTPStatus.OK:
        raise PluginError(
            f"the agent answered {status} to {_COVERAGE}: {body[:200].decode(errors='replace')}"
        )
    try:
        return Coverage.model_validate_json(body)
    except ValidationError as error:
        raise PluginError("the agent's answer is of another version than this plugin") from error


def read_answer(answer: bytes) -> tuple[int, bytes]:
    """Take an HTTP answer apart.

    Args:
        answer: Everything that came over the connection.

    Returns:
        Its status and its body.

    Raises:
        PluginError: It is no HTTP, or not the whole of it.
    """
    response = http.client.HTTPResponse(_Received(answer))  # type: ignore[arg-type] # it reads makefile() only
    try:
        response.begin()
        return response.status, response.read()
    except (http.client.HTTPException, ValueError) as error:
        raise PluginError(f"the agent's answer broke off ({type(error).__name__}): try again") from error


class _Received:
    """A connection that has said everything."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)

"""Live figures of the windows, from the agent.

It is asked inside its own pod, with its own token, which so never leaves it. A forwarded port would end at
the pod's loopback address, and the agent listens on the pod's own; the API server's proxy takes the header
with the token away. Who may not run a command there gets no live figures, and hears so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from replay_operator.api.agent import Coverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.gateway import ClusterError
from replay_operator.domain.layout import buffer_path
from replay_operator.kubectl.agent_pod import find_agent
from replay_operator.kubectl.errors import PluginError, server_sentence
from replay_operator.kubectl.exec import output_of
from replay_operator.kubectl.session import Session
from replay_operator.kubectl.window import Window, window_of

ASK = """
import os, sys, urllib.request
with open(os.environ["REPLAY_AGENT_TOKEN_DIRECTORY"] + "/token") as file:
    token = file.read().strip()
address, port = os.environ["REPLAY_AGENT_BIND_ADDRESS"], os.environ.get("REPLAY_AGENT_PORT", "8480")
host = f"[{address}]" if ":" in address else address
url, headers = f"http://{host}:{port}/v1/coverage", {"Authorization": f"Bearer {token}"}
with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
    sys.stdout.buffer.write(answer.read())
"""
"""What is run in the agent's container; its variables are those of the manifests."""


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
    asking = output_of(session, agent.name, agent.container, ["python3", "-c", ASK])
    answer = b"".join([chunk async for chunk in asking])
    try:
        return Coverage.model_validate_json(answer)
    except ValidationError as error:
        raise PluginError("the agent's answer is of another version than this plugin") from error

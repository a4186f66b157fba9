"""What the processes of a whole stack log: transitions, and no secret."""

from __future__ import annotations

import base64
import re

import pytest

from tests.flow.conftest import BufferFactory, capture_object
from tests.stack.stack import Stack

TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}")
"""A JWT, which LiveKit's calls and Kubernetes' carry."""

SHORTEST_SECRET = 8
"""LiveKit's key is no secret, and shorter words stand in any text."""


def log_of(stack: Stack, selector: str) -> str:
    return stack.kubectl("logs", "--tail=-1", "--all-containers", "--ignore-errors", "-l", selector)


def secrets(stack: Stack) -> set[str]:
    values = {
        base64.b64decode(value).decode()
        for secret in stack.list_all("secrets")
        for value in secret.get("data", {}).values()
    }
    return {value for value in values if len(value) >= SHORTEST_SECRET}


@pytest.fixture
def ran(stack: Stack, new_buffer: BufferFactory) -> str:
    """A buffer has recorded and a clip was made."""
    buffer = new_buffer()
    stack.wait_for_condition("rb", buffer, "Recording", seconds=60)
    stack.apply(capture_object(f"logged-{buffer}", buffer, range={"last": {"seconds": 2}}))
    stack.wait_for_condition("rcap", f"logged-{buffer}", "Ready", seconds=60)
    return buffer


def test_the_log_tells_each_transition_and_no_secret(stack: Stack, ran: str) -> None:
    operator = log_of(stack, "app.kubernetes.io/name=replay-operator")
    everything = operator + log_of(stack, "app.kubernetes.io/name=replay-agent")
    everything += log_of(stack, "replaybuffer.dev/capture-uid")

    (recording,) = re.findall(rf"ReplayBuffer {ran}: Recording: .*", operator)
    assert re.search(r" egress=EG_\w+ run=\S+", recording)
    (ready,) = re.findall(rf"ReplayCapture logged-{ran}: ClipReady: .*", operator)
    assert f"buffer={ran}" in ready or ran in ready

    known = secrets(stack)
    assert len(known) >= 2, "LiveKit's secret and the agent's token at least"
    assert {secret[:3] for secret in known if secret in everything} == set()
    assert TOKEN.search(everything) is None

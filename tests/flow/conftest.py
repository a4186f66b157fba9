"""The whole system for the flow tests: a control plane, a node and an install of their own.

Their own, because they count API writes and kill pods; for this package, so that nothing of it works on
beside the tests of others.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from tests.flow.receiver import SECRET, NewsReceiver
from tests.stack.images import stack_images
from tests.stack.stack import Stack
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

SMALL = {"advanced": {"width": 320, "height": 180, "framerate": 15, "videoKbps": 200, "audioKbps": 64}}
SEGMENT_SECONDS = 2


Bed = tuple[ControlPlane, NodeStandIn]


@pytest.fixture(scope="package")
def news() -> Iterator[NewsReceiver]:
    """Who is told the outcomes of captures."""
    with NewsReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="package")
def bed(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bed]:
    """A control plane and a node, for one install after the other in a namespace of its own."""
    with (
        ControlPlane(control_plane_binaries) as plane,
        NodeStandIn(plane.kubeconfig, tmp_path_factory.mktemp("node"), stack_images()) as node,
    ):
        yield plane, node


@pytest.fixture(scope="package")
def stack(bed: Bed, news: NewsReceiver) -> Stack:
    stack = Stack(*bed, "flow")
    stack.install(
        settings={
            "REPLAY_LIVEKIT_POLL_SECONDS": "1",
            "REPLAY_NOTIFY_URL": news.url,
            "REPLAY_FLEET_LOWER_AFTER_SECONDS": "0",  # no late write among those that a test counts
        },
        secrets={"replay-operator-notify": {"secret": SECRET}},
    )
    wait_until_up(stack)
    return stack


def wait_until_up(stack: Stack) -> None:
    for deployment in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
        stack.wait_until_available(deployment)


BufferFactory = Callable[..., str]


@pytest.fixture
def new_buffer(stack: Stack) -> Iterator[BufferFactory]:
    """Makes a room with alice in it and a small buffer for her screen; both are gone after the test."""
    with buffers_of_a_while(stack) as make:
        yield make


@contextmanager
def buffers_of_a_while(stack: Stack) -> Iterator[BufferFactory]:
    """What `new_buffer` gives, for fixtures that live longer than a test."""
    made: list[str] = []

    def make(**spec: Any) -> str:
        name = f"buffer-{uuid.uuid4().hex[:8]}"
        stack.livekit.post("rooms", {"name": name})
        stack.livekit.post(
            f"rooms/{name}/participants", {"identity": "alice", "tracks": ["SCREEN_SHARE", "MICROPHONE"]}
        )
        stack.apply(buffer_object(name, spec))
        made.append(name)
        return name

    yield make
    for name in made:
        stack.kubectl("delete", "rb", name, "--ignore-not-found", "--wait=false")
    stack.livekit.delete("faults")


def buffer_object(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    participant = {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {"name": name},
        "spec": {
            "room": name,
            "source": {"participant": participant},
            "windowSeconds": 120,
            "segmentSeconds": SEGMENT_SECONDS,
            "encoding": SMALL,
            **spec,
        },
    }


def capture_object(name: str, buffer: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {"name": name},
        "spec": {"bufferRef": {"name": buffer}, "range": {"last": {"seconds": 5}}, **spec},
    }

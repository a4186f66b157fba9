"""Creates thousands of ReplayBuffers as fast as the API server takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from benchmarks.scale.install import NAMESPACE
from benchmarks.scale.livekit_server import place_of
from replay_operator.api.model import API_VERSION
from replay_operator.api.replaybuffer import BUFFER_KIND
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.resources import BUFFERS

AT_ONCE = 8


def buffer_object(number: int, *, segment_seconds: int, window_seconds: int) -> dict[str, Any]:
    """Build one ReplayBuffer.

    Args:
        number: From 0; says who is recorded.
        segment_seconds: Length of a segment.
        window_seconds: Length of the window.
    """
    room, identity = place_of(number)
    participant = {"identity": identity, "video": "ScreenShare", "audio": "ScreenShareAudio"}
    return {
        "apiVersion": API_VERSION,
        "kind": BUFFER_KIND,
        "metadata": {"name": f"buffer-{number:05d}", "namespace": NAMESPACE},
        "spec": {
            "room": room,
            "source": {"participant": participant},
            "windowSeconds": window_seconds,
            "segmentSeconds": segment_seconds,
        },
    }


async def create_buffers(kubeconfig: Path, count: int, *, segment_seconds: int, window_seconds: int) -> None:
    """Create the buffers.

    Args:
        kubeconfig: The administrator's, so that these writes are not counted as the operator's.
        count: How many.
        segment_seconds: Length of a segment.
        window_seconds: Length of the window.
    """
    gateway = await KubernetesGateway.connect(kubeconfig)
    numbers = iter(range(count))

    async def create_some() -> None:
        for number in numbers:
            body = buffer_object(number, segment_seconds=segment_seconds, window_seconds=window_seconds)
            await gateway.create(BUFFERS, NAMESPACE, body)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(create_some())
    finally:
        await gateway.close()

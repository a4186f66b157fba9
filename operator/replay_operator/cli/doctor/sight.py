"""Runs one probe: it ends in time, and what it raises becomes a fact instead of the end of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from replay_operator.cluster.gateway import ClusterError, Forbidden
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.domain.checks.verdict import Unseen
from replay_operator.livekit.errors import LiveKitError

T = TypeVar("T")

PROBE_SECONDS = 5.0
"""Longer than anything that is well needs, shorter than a person waits."""


async def see(
    what: str, probe: Awaitable[T], *, right: str = "", seconds: float = PROBE_SECONDS
) -> T | Unseen:
    """Wait for a probe.

    Args:
        what: What it looks at, for the message.
        probe: The probe.
        right: The right that it needs, such as "get on configmaps".
        seconds: How long it may take.
    """
    try:
        async with asyncio.timeout(seconds):
            return await probe
    except Forbidden:
        return Unseen(
            f"cannot see {what}: needs {right}",
            f"allow {right}, or run this with a kubeconfig that may (docs/doctor.md)",
        )
    except TimeoutError:
        return Unseen(
            f"no answer about {what} within {seconds:g} s", "check the network between here and there"
        )
    except (ClusterError, LiveKitError, AgentUnavailable) as error:
        return Unseen(str(error), "mend that, and run this again")
    except Exception as error:  # noqa: BLE001 - one broken probe must not take the others with it
        return Unseen(f"{what}: {type(error).__name__}: {error}", "report this: the probe has a fault")

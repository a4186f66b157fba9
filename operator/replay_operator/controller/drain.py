"""Before an uninstall: every recording of an install ends, and its captures can be deleted without it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Protocol

from replay_operator.cluster.gateway import Conflict, KubernetesGateway
from replay_operator.cluster.resources import CAPTURES
from replay_operator.controller.leader import LeadershipLost
from replay_operator.domain.capture_end import FINALIZER
from replay_operator.domain.egress import Egress, EgressState
from replay_operator.domain.layout import parse_filename_prefix
from replay_operator.livekit.errors import EgressWorkerSilent, LiveKitError

LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


class Recordings(Protocol):
    """What is needed of `LiveKit` to end recordings."""

    async def list_active(self) -> tuple[Egress, ...]:
        """See `LiveKit`."""
        ...

    async def stop(self, egress_id: str) -> None:
        """See `LiveKit`."""
        ...


def recordings_of(egresses: Collection[Egress], *, namespace: str, root: str) -> tuple[Egress, ...]:
    """Give the egresses that an install has started, whichever of its buffers for.

    Args:
        egresses: All that LiveKit lists; other applications' are among them.
        namespace: Of the install.
        root: Where its workers mount the buffer volume.
    """
    paths = ((egress, parse_filename_prefix(egress.filename_prefix, root)) for egress in egresses)
    return tuple(egress for egress, path in paths if path is not None and path.namespace == namespace)


async def end_recordings(
    livekit: Recordings,
    *,
    namespace: str,
    root: str,
    leads: Callable[[], bool],
    quiet_seconds: float,
    look_seconds: float = LOOK_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Stop recordings until there have been none for a while. The caller leads, so that nobody starts others.

    One whose worker does not answer is not waited for: the worker is dead, and LiveKit lists it for ever.

    Args:
        livekit: LiveKit.
        namespace: Of the install.
        root: Where its workers mount the buffer volume.
        leads: Whether this process still holds the Lease.
        quiet_seconds: How long LiveKit has to list none. A start whose answer nobody waited for can come true
            as long as LiveKit looks for a worker (27 s: livekit-measured §3).
        look_seconds: From one list to the next.
        monotonic: Gives the seconds by which it is decided.

    Raises:
        LeadershipLost: Somebody else leads: an operator that would start them again.
    """
    none_since: float | None = None
    while none_since is None or monotonic() - none_since < quiet_seconds:
        if not leads():
            raise LeadershipLost(
                "another operator leads while this one stops its recordings: remove that first"
            )
        try:
            listed = recordings_of(await livekit.list_active(), namespace=namespace, root=root)
            left = [egress for egress in listed if not await _is_done_with(livekit, egress)]
        except LiveKitError as error:
            log.warning("LiveKit cannot be asked, trying again: %s", error)
            none_since = None
        else:
            if left:
                none_since = None
            elif none_since is None:
                none_since = monotonic()
        await asyncio.sleep(look_seconds)


async def _is_done_with(livekit: Recordings, egress: Egress) -> bool:
    if egress.state is EgressState.ENDING:
        return False
    try:
        await livekit.stop(egress.id)
    except EgressWorkerSilent:
        log.warning("egress %s of room %s has no worker any more: it records nothing", egress.id, egress.room)
        return True
    log.info("stopped egress %s of room %s", egress.id, egress.room)
    return False


async def release_captures(
    gateway: KubernetesGateway, namespace: str, *, look_seconds: float = LOOK_SECONDS
) -> None:
    """Take our finalizer off every capture: without an operator it would keep them for ever.

    An operator that is installed again puts it back.

    Args:
        gateway: The Kubernetes API.
        namespace: Of the install.
        look_seconds: From one list to the next, when a capture has changed meanwhile.
    """
    while held := [
        body["metadata"]
        for body in await gateway.list(CAPTURES, namespace)
        if FINALIZER in body["metadata"].get("finalizers", [])
    ]:
        for meta in held:
            others = [name for name in meta["finalizers"] if name != FINALIZER]
            patch = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": others}}
            try:
                await gateway.patch(CAPTURES, namespace, meta["name"], patch)
            except Conflict:
                log.info("capture %s has changed meanwhile, looking again", meta["name"])
        await asyncio.sleep(look_seconds)

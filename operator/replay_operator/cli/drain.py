"""`replay-operator drain`: the end of an install, run by the chart before `helm uninstall` removes it.

The operator's Deployment goes first. What keeps anybody from starting a recording again is the Lease: this
process waits for it and holds it while it stops them (docs/adr/0016).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
from collections.abc import Sequence

import aiohttp
from pydantic import ValidationError

from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.lease import LEASES, KubernetesLease
from replay_operator.cluster.resources import ResourceType
from replay_operator.controller.assembly import utc_now
from replay_operator.controller.drain import end_recordings, release_captures
from replay_operator.controller.leader import Elector, LeadershipLost
from replay_operator.controller.leader_only import LeaderOnlyLiveKit
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.settings import LiveKitSettings, OperatorSettings

DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment")

EXIT_FAILED = 1
EXIT_CONFIGURATION = 78

log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        arguments: What follows `drain`.

    Returns:
        0: nothing of the install records any more. 1: not within the time. 78: a setting is missing.
    """
    parser = argparse.ArgumentParser(prog="replay-operator drain", description=__doc__.partition("\n")[0])
    parser.add_argument("--deployment", default="replay-operator", help="the operator's, deleted first")
    parser.add_argument("--timeout-seconds", type=float, default=180.0, help="for all of it (%(default)s)")
    parser.add_argument(
        "--quiet-seconds",
        type=float,
        default=30.0,
        help="how long LiveKit has to list no recording of ours; a start may come late (%(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        settings, livekit = OperatorSettings(), LiveKitSettings()
    except ValidationError as error:
        print(f"replay-operator drain: {error}", file=sys.stderr)  # noqa: T201 - before logging is set up
        return EXIT_CONFIGURATION
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_within(options, settings, livekit))
    except TimeoutError:
        log.error(  # noqa: TRY400 - where it was is of no use to the reader
            "not drained within %.0f s: the log above says what is left. `helm uninstall --no-hooks` goes on "
            "without; recordings then go on for as long as their workers live",
            options.timeout_seconds,
        )
        return EXIT_FAILED
    except (ClusterError, LeadershipLost) as error:
        log.error("not drained: %s", error)  # noqa: TRY400 - see above
        return EXIT_FAILED
    return 0


async def _within(options: argparse.Namespace, settings: OperatorSettings, livekit: LiveKitSettings) -> None:
    async with asyncio.timeout(options.timeout_seconds):
        await _drain(options, settings, livekit)


async def _drain(options: argparse.Namespace, settings: OperatorSettings, livekit: LiveKitSettings) -> None:
    gateway = await KubernetesGateway.connect(settings.kubeconfig)
    elector = Elector(
        KubernetesLease(gateway, namespace=settings.namespace, name=settings.lease),
        pod_name=settings.pod_name,
        utc_now=utc_now,
    )
    adapter = LiveKitAdapter(
        aiohttp.ClientSession(),
        url=livekit.url,
        api_key=livekit.api_key,
        api_secret=livekit.api_secret.get_secret_value(),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(gateway.close)
        stack.push_async_callback(adapter.aclose)
        await gateway.delete(DEPLOYMENTS, settings.namespace, options.deployment)
        log.info("deleted deployment %s; waiting for its operator to give the lease up", options.deployment)
        stack.push_async_callback(elector.release)
        await elector.acquire()
        holding = asyncio.ensure_future(elector.hold())
        try:
            await end_recordings(
                LeaderOnlyLiveKit(adapter, lambda: elector.is_leading),
                namespace=settings.namespace,
                root=settings.buffer_root,
                leads=lambda: elector.is_leading,
                quiet_seconds=options.quiet_seconds,
            )
            await release_captures(gateway, settings.namespace)
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
        # Nobody waits for it: it is the last thing that an install leaves.
        await gateway.delete(LEASES, settings.namespace, settings.lease)
        log.info("drained: nothing of namespace %s records any more", settings.namespace)

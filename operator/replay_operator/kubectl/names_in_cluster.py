"""Names of objects in the cluster, for the shell to complete."""

from __future__ import annotations

import asyncio

import click
from click.shell_completion import CompletionItem

from replay_operator.cluster.gateway import ClusterError
from replay_operator.cluster.resources import ResourceType
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.session import ClusterFlags, connect

PATIENCE_SECONDS = 3.0
"""Who presses tab does not wait longer; kubectl itself has no limit."""


def names_of(ctx: click.Context, type_: ResourceType, incomplete: str) -> list[CompletionItem]:
    """Give the names of the objects of a kind. Where the cluster does not answer there are none.

    Args:
        ctx: The command line so far.
        type_: Which kind.
        incomplete: How the names begin.
    """
    flags = ctx.find_object(ClusterFlags) or ClusterFlags()
    try:
        names = asyncio.run(asyncio.wait_for(_names(flags, type_), PATIENCE_SECONDS))
    except (ClusterError, PluginError, TimeoutError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


async def _names(flags: ClusterFlags, type_: ResourceType) -> list[str]:
    async with connect(flags) as session:
        return [item["metadata"]["name"] for item in await session.gateway.list(type_, session.namespace)]

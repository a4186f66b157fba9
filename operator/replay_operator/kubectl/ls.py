"""`kubectl replay ls`: the buffers, and how far back each reaches now."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.cluster.gateway import Json
from replay_operator.cluster.resources import BUFFERS
from replay_operator.kubectl.buffer_table import buffer_table
from replay_operator.kubectl.flags import Format, cluster_flags, format_of, output_flag
from replay_operator.kubectl.live import LiveWindows, live_windows
from replay_operator.kubectl.session import Session, in_cluster
from replay_operator.kubectl.table import objects
from replay_operator.kubectl.telling import remark, tell


@click.command("ls", short_help="List the buffers with their windows.")
@click.option("--room", help="Only the buffers of this room.")
@output_flag
@cluster_flags
def command(room: str | None, output: str | None) -> None:
    """List the buffers. WINDOW is what lies on disk and what was asked for, NEWEST how old its end is.

    Both come from the agent, if you may run a command in its pod; else from the status, which is written at
    25, 50, 75 and 100 % only.
    """
    format_ = format_of(output)

    async def work(session: Session) -> None:
        found = await session.gateway.list(BUFFERS, session.namespace)
        items = [item for item in found if room is None or item["spec"]["room"] == room]
        if format_ in (Format.TABLE, Format.WIDE):
            await _tell_table(session, items, wide=format_ is Format.WIDE)
        else:
            tell(objects(items, format_))

    in_cluster(work)


async def _tell_table(session: Session, items: list[Json], *, wide: bool) -> None:
    if not items:
        remark(f"No resources found in {session.namespace} namespace.")
        return
    buffers = [ReplayBuffer.model_validate(item) for item in items]
    live = await live_windows(session, buffers)
    if live.windows is None:
        remark(from_status(live))
    tell(buffer_table(buffers, live.windows, wide=wide, now=datetime.now(UTC)))


def from_status(live: LiveWindows) -> str:
    """Say that the figures are not the live ones, and why.

    Args:
        live: Without windows.
    """
    return f"These figures are from the status, not from the agent: {live.why_not}"

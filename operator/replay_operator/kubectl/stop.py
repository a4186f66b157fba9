"""`kubectl replay stop` and `forget`: what ends a recording, and what ends its past."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from replay_operator.cluster.gateway import Json
from replay_operator.cluster.resources import BUFFERS
from replay_operator.domain.policy import FORGET_ANNOTATION
from replay_operator.kubectl.errors import NotFound
from replay_operator.kubectl.flags import BUFFER, cluster_flags
from replay_operator.kubectl.session import Session, full_name, in_cluster
from replay_operator.kubectl.table import resource_name
from replay_operator.kubectl.telling import remark, tell


@click.command("stop", short_help="Stop a recording.")
@click.argument("names", metavar="BUFFER...", nargs=-1, required=True, type=BUFFER)
@click.option("--delete", is_flag=True, help="Delete the buffer, and with it its window.")
@cluster_flags
def command(names: tuple[str, ...], *, delete: bool) -> None:
    """Stop recordings. Their windows stay, for as long as keepAfterEndSeconds says, and can be saved.

    `start` with the same room and identity goes on.
    """

    async def work(session: Session) -> None:
        for name in names:
            buffer = await session.buffer(name)
            if delete:
                await session.gateway.delete(BUFFERS, session.namespace, name)
            elif buffer["spec"].get("suspend"):
                remark(f"{resource_name(buffer)} is suspended already")
                continue
            else:
                await _patch(session, name, {"spec": {"suspend": True}})
            tell(f"{resource_name(buffer)} {'deleted' if delete else 'suspended'}")

    in_cluster(work)


@click.command("forget", short_help="Delete what was recorded so far.")
@click.argument("names", metavar="BUFFER...", nargs=-1, required=True, type=BUFFER)
@cluster_flags
def forget(names: tuple[str, ...]) -> None:
    """Delete what buffers have recorded until now, though a capture that is not finished may need it.

    It is gone within half a minute as a rule. Finished clips stay, and recording goes on.
    """
    moment = datetime.now(UTC)

    async def work(session: Session) -> None:
        for name in names:
            body = {
                "metadata": {"annotations": {FORGET_ANNOTATION: moment.isoformat(timespec="milliseconds")}}
            }
            buffer = await _patch(session, name, body)
            tell(f"{resource_name(buffer)} forgets what was before {moment:%Y-%m-%dT%H:%M:%SZ}")

    in_cluster(work)


async def _patch(session: Session, name: str, body: Json) -> Json:
    patched = await session.gateway.patch(BUFFERS, session.namespace, name, body)
    if patched is None:
        raise NotFound(full_name(BUFFERS), name)
    return patched

"""`kubectl replay get` and `cancel`: captures, and the end of one that is not wanted any more."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.resources import CAPTURES
from replay_operator.domain.capture_state import is_finished
from replay_operator.kubectl.capture_table import capture_table
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.flags import BUFFER, CAPTURE, Format, cluster_flags, format_of, output_flag
from replay_operator.kubectl.session import Session, in_cluster
from replay_operator.kubectl.table import objects, one_object, resource_name
from replay_operator.kubectl.telling import remark, tell


@click.command("get", short_help="Show captures.")
@click.argument("names", metavar="[CAPTURE...]", nargs=-1, type=CAPTURE)
@click.option("--buffer", type=BUFFER, help="Only the captures of this buffer.")
@output_flag
@cluster_flags
def command(names: tuple[str, ...], buffer: str | None, output: str | None) -> None:
    """Show captures: is the clip ready, when will it be, how long is it and where.

    Without a name all of them, the newest last.
    """
    format_ = format_of(output)

    async def work(session: Session) -> None:
        if names:
            items = [await session.capture(name) for name in names]
        else:
            found = await session.gateway.list(CAPTURES, session.namespace)
            items = sorted(found, key=lambda item: str(item["metadata"]["creationTimestamp"]))
        items = [item for item in items if buffer in (None, item["spec"]["bufferRef"]["name"])]
        if format_ not in (Format.TABLE, Format.WIDE):
            tell(one_object(items[0], format_) if len(names) == len(items) == 1 else objects(items, format_))
        elif not items:
            remark(f"No resources found in {session.namespace} namespace.")
        else:
            captures = [ReplayCapture.model_validate(item) for item in items]
            tell(capture_table(captures, wide=format_ is Format.WIDE, now=datetime.now(UTC)))

    in_cluster(work)


@click.command("cancel", short_help="End a capture that is not finished.")
@click.argument("names", metavar="CAPTURE...", nargs=-1, required=True, type=CAPTURE)
@cluster_flags
def cancel(names: tuple[str, ...]) -> None:
    """End captures that are not finished, and delete them. One that is finished stays."""

    async def work(session: Session) -> None:
        for name in names:
            item = await session.capture(name)
            capture = ReplayCapture.model_validate(item)
            if is_finished(capture):
                raise PluginError(
                    f"{resource_name(item)} is finished: there is nothing to cancel. "
                    f"To delete it: kubectl delete replaycapture {name} -n {session.namespace}"
                )
            # Guarded: a clip that becomes ready at this moment is not thrown away.
            await session.gateway.delete(CAPTURES, session.namespace, name, meta=capture.metadata)
            tell(f"{resource_name(item)} cancelled")

    in_cluster(work)

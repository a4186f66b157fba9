"""`kubectl replay save`: the last minutes of a buffer as a clip."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from replay_operator.api.replaycapture import DeletionPolicy, Holes, Tail, Trim, WhenShort
from replay_operator.cluster.gateway import Json
from replay_operator.cluster.resources import CAPTURES
from replay_operator.kubectl.duration import exact
from replay_operator.kubectl.flags import (
    BUFFER,
    DURATION,
    Format,
    choice_of,
    cluster_flags,
    format_of,
    output_flag,
)
from replay_operator.kubectl.names import capture_name
from replay_operator.kubectl.session import Session, in_cluster
from replay_operator.kubectl.table import resource_name
from replay_operator.kubectl.telling import remark, tell, tell_object
from replay_operator.kubectl.waiting import tell_outcome, wait_until_finished

CLOCKS_AGREE = timedelta(seconds=2)
"""creationTimestamp has whole seconds, and the request takes a moment."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to save. What is None is left to the defaults of the resource."""

    buffer: str
    last: timedelta
    post: timedelta = timedelta()
    name: str | None = None
    title: str | None = None
    thumbnail: bool = True
    when_short: str | None = None
    holes: str | None = None
    trim: str | None = None
    tail: str | None = None
    deletion_policy: str | None = None
    ttl: timedelta | None = None


def capture_body(wish: Wish, moment: datetime) -> Json:
    """Build the ReplayCapture. It has the moment to the millisecond; creationTimestamp has whole seconds.

    Args:
        wish: What to save.
        moment: When it was asked for.
    """
    until = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    last = {"seconds": int(wish.last.total_seconds()), "until": until}
    if wish.post:
        last["postRollSeconds"] = int(wish.post.total_seconds())
    output: Json = {"title": wish.title} if wish.title else {}
    if not wish.thumbnail:
        output["thumbnail"] = False
    optional = {
        "whenShort": wish.when_short,
        "holes": wish.holes,
        "trim": wish.trim,
        "tail": wish.tail,
        "output": output or None,
        "deletionPolicy": wish.deletion_policy,
        "ttlSecondsAfterFinished": int(wish.ttl.total_seconds()) if wish.ttl is not None else None,
    }
    return {
        "apiVersion": CAPTURES.api_version,
        "kind": CAPTURES.kind,
        "metadata": {"name": wish.name or capture_name(wish.buffer, moment)},
        "spec": {
            "bufferRef": {"name": wish.buffer},
            "range": {"last": last},
            **{field: value for field, value in optional.items() if value is not None},
        },
    }


def clock_remark(created: datetime, moment: datetime) -> str | None:
    """Say that this machine's clock is wrong, when it is: the clip then holds another moment.

    Args:
        created: creationTimestamp, in whole seconds.
        moment: The moment that was saved, by this machine's clock.
    """
    ahead = moment - created
    if abs(ahead) <= CLOCKS_AGREE:
        return None
    way = "ahead of" if ahead > timedelta() else "behind"
    return (
        f"warning: this machine's clock is about {exact(abs(ahead))} {way} the cluster's, "
        "and the saved moment is that much off"
    )


async def save(session: Session, wish: Wish, moment: datetime) -> Json:
    """Make the capture.

    Args:
        session: Where.
        wish: What to save.
        moment: When it was asked for.

    Raises:
        NotFound: There is no such buffer; a capture would wait five minutes for it.
        ClusterError: The API server refuses.
    """
    await session.buffer(wish.buffer)
    return await session.gateway.create(CAPTURES, session.namespace, capture_body(wish, moment))


@click.command("save", short_help="Save the last minutes of a buffer.")
@click.argument("buffer", metavar="BUFFER", type=BUFFER)
@click.option("--last", type=DURATION, required=True, help="How far back, such as 5m or 1h30m.")
@click.option("--post", type=DURATION, default="0s", help="Go on for so long after this moment.")
@click.option("--title", help="Title written into the MP4.")
@click.option("--name", help="Name of the capture; else made of buffer and time.")
@click.option("--thumbnail/--no-thumbnail", default=True, help="Also make a picture of the first moment.")
@click.option("--when-short", type=choice_of(WhenShort), help="If the window does not reach so far back.")
@click.option("--holes", type=choice_of(Holes), help="Where nothing was recorded.")
@click.option("--trim", type=choice_of(Trim), help="How exactly the clip begins.")
@click.option("--tail", type=choice_of(Tail), help="What to do about instants that are not on disk yet.")
@click.option("--deletion-policy", type=choice_of(DeletionPolicy), help="The clip when its capture goes.")
@click.option("--ttl", type=DURATION, help="Delete the capture so long after it has finished.")
@click.option("--wait", is_flag=True, help="Wait until the clip is ready, and show how far it is.")
@click.option("--timeout", type=DURATION, default="10m", help="With --wait: for how long.")
@output_flag
@cluster_flags
def command(buffer: str, *, wait: bool, timeout: timedelta, output: str | None, **wish: Any) -> int:
    """Save the last minutes of a buffer as an MP4 on the archive volume.

    The moment is now, by this machine's clock, to the millisecond.
    """
    moment = datetime.now(UTC)
    wanted = Wish(buffer=buffer, **wish)
    format_ = format_of(output)

    async def work(session: Session) -> int:
        created = await save(session, wanted, moment)
        said = clock_remark(datetime.fromisoformat(created["metadata"]["creationTimestamp"]), moment)
        if said:
            remark(said)
        made = f"{resource_name(created)} created"
        if not wait:
            tell_object(created, format_, made)
            return 0
        (tell if format_ in (Format.TABLE, Format.WIDE) else remark)(made)
        finished = await wait_until_finished(session, created["metadata"]["name"], timeout + wanted.post)
        return tell_outcome(finished, format_)

    return in_cluster(work)

"""`kubectl replay start`: a buffer for what a participant shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from replay_operator.api.replaybuffer import (
    AudioSource,
    EncodingPreset,
    ReplayBuffer,
    VideoSource,
)
from replay_operator.cluster.gateway import Conflict, Json
from replay_operator.cluster.resources import BUFFERS
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.flags import DURATION, choice_of, cluster_flags, format_of, output_flag
from replay_operator.kubectl.names import object_name
from replay_operator.kubectl.session import Session, full_name, in_cluster
from replay_operator.kubectl.table import resource_name
from replay_operator.kubectl.telling import tell_object

NO_TRACK = "None"

_SOUND_OF = {
    VideoSource.SCREEN_SHARE.value: AudioSource.SCREEN_SHARE_AUDIO.value,
    VideoSource.CAMERA.value: AudioSource.MICROPHONE.value,
    NO_TRACK: AudioSource.MICROPHONE.value,
}
_WORD_OF = {VideoSource.SCREEN_SHARE.value: "screen", VideoSource.CAMERA.value: "camera", NO_TRACK: "sound"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What to record. What is None is left to the defaults of the resource."""

    room: str
    identity: str
    video: str = VideoSource.SCREEN_SHARE.value
    audio: str | None = None
    window: timedelta | None = None
    segment: timedelta | None = None
    preset: str | None = None
    owner: str | None = None
    keep: timedelta | None = None
    name: str | None = None


def buffer_body(wish: Wish) -> Json:
    """Build the ReplayBuffer.

    Args:
        wish: What to record.
    """
    audio = wish.audio or _SOUND_OF[wish.video]
    tracks = {"video": wish.video, "audio": audio}
    participant = {kind: value for kind, value in tracks.items() if value != NO_TRACK}
    optional = {
        "owner": wish.owner,
        "windowSeconds": _seconds(wish.window),
        "segmentSeconds": _seconds(wish.segment),
        "encoding": {"preset": wish.preset} if wish.preset else None,
        "keepAfterEndSeconds": _seconds(wish.keep),
    }
    return {
        "apiVersion": BUFFERS.api_version,
        "kind": BUFFERS.kind,
        "metadata": {"name": wish.name or object_name(wish.room, wish.identity, _WORD_OF[wish.video])},
        "spec": {
            "room": wish.room,
            "source": {"participant": {"identity": wish.identity, **participant}},
            **{name: value for name, value in optional.items() if value is not None},
        },
    }


async def start(session: Session, wish: Wish) -> tuple[Json, str]:
    """Make the buffer, or resume the one that `stop` has suspended.

    Args:
        session: Where.
        wish: What to record.

    Returns:
        The buffer, and what was done with it.

    Raises:
        PluginError: There is a buffer of that name that records, or another source.
        ClusterError: The API server refuses.
    """
    body = buffer_body(wish)
    try:
        return await session.gateway.create(BUFFERS, session.namespace, body), "created"
    except Conflict:
        return await _resume(session, body), "resumed"


async def _resume(session: Session, body: Json) -> Json:
    name = body["metadata"]["name"]
    found = await session.buffer(name)
    there = ReplayBuffer.model_validate(found)
    wanted = ReplayBuffer.model_validate({**found, "spec": body["spec"]})
    same = (there.spec.room, there.spec.source) == (wanted.spec.room, wanted.spec.source)
    if not there.spec.suspend or not same:
        raise PluginError(
            f'Error from server (AlreadyExists): {full_name(BUFFERS)} "{name}" already exists'
            + ("" if same else " and records something else: give another --name")
        )
    guard = {"resourceVersion": found["metadata"]["resourceVersion"]}
    changed = {
        field: value
        for field, value in body["spec"].items()
        if field not in ("room", "source")  # they are the same
    }
    patch = {"metadata": guard, "spec": {**changed, "suspend": False}}
    resumed = await session.gateway.patch(BUFFERS, session.namespace, name, patch)
    return resumed if resumed is not None else await session.buffer(name)


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else int(length.total_seconds())


def _source(_: click.Context, __: click.Parameter, value: str) -> tuple[str, str]:
    room, slash, identity = value.partition("/")
    if not slash or not room or not identity:
        raise click.BadParameter(f"{value!r} is not ROOM/IDENTITY, such as standup/alice")
    return room, identity


def _tracks(sources: type[VideoSource | AudioSource]) -> click.Choice[str]:
    return click.Choice([*(each.value for each in sources), NO_TRACK], case_sensitive=False)


@click.command("start", short_help="Record what a participant shows.")
@click.argument("source", metavar="ROOM/IDENTITY", callback=_source)
@click.option(
    "--video", type=_tracks(VideoSource), default=VideoSource.SCREEN_SHARE.value, show_default=True,
    help="Which video track.",
)  # fmt: skip
@click.option("--audio", type=_tracks(AudioSource), help="Which audio track; else the one of that video.")
@click.option("--window", type=DURATION, help="How far back it reaches, such as 10m.")
@click.option("--segment", type=DURATION, help="Length of a segment, such as 4s.")
@click.option("--preset", type=choice_of(EncodingPreset), help="Encoding.")
@click.option("--keep", type=DURATION, help="How long the window stays after the source has gone.")
@click.option("--owner", help="Who the recording counts for.")
@click.option("--name", help="Name of the buffer; else made of room, identity and video.")
@output_flag
@cluster_flags
def command(source: tuple[str, str], *, output: str | None, **wish: Any) -> None:
    """Record what a participant shows, and keep the last minutes of it.

    The room may be empty now: recording begins when the participant publishes. ROOM ends at the first slash.
    A buffer that `stop` has suspended is resumed, with the flags that are given.
    """
    room, identity = source
    wanted = Wish(room=room, identity=identity, **wish)
    buffer, done = in_cluster(lambda session: start(session, wanted))
    tell_object(buffer, format_of(output), f"{resource_name(buffer)} {done}")

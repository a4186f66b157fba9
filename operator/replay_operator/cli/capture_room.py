"""`replay-operator capture-room`: one moment of a room, from all of its buffers.

Every capture gets the same absolute range, so the clips can be cut together: `status.clip.start` of each says
where on the common time it begins.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from replay_operator.api.model import GROUP
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import DeletionPolicy, Tail, Trim
from replay_operator.cluster.gateway import ClusterError, KubernetesGateway
from replay_operator.cluster.kubeconfig import current_namespace
from replay_operator.cluster.resources import BUFFERS, CAPTURES

MOMENT_LABEL = f"{GROUP}/moment"
"""On all captures of one call: `kubectl get rcap -l replaybuffer.dev/moment=NAME`."""

EXIT_FAILED = 1
_MAX_NAME = 253
_MAX_MOMENT = 63


def main(arguments: Sequence[str]) -> int:
    """Make the captures and print their names.

    Args:
        arguments: The command line without the program's name and the subcommand.

    Returns:
        The exit code: 1 when there was nothing to capture, or a capture was not made.
    """
    flags = _parser().parse_args(arguments)
    now = datetime.now(UTC)
    start, end = _range(flags, now)
    moment = flags.name or f"{_label(flags.room)}-{now:%Y%m%d-%H%M%S}"
    template = capture_template(flags, start=start, end=end, moment=moment)
    namespace = flags.namespace or current_namespace(flags.kubeconfig)
    try:
        return asyncio.run(_capture(flags.kubeconfig, namespace, flags.room, moment, template))
    except ClusterError as error:
        return _complain(str(error))


async def _capture(
    kubeconfig: Path | None, namespace: str, room: str, moment: str, template: dict[str, Any]
) -> int:
    gateway = await KubernetesGateway.connect(kubeconfig)
    try:
        return await capture_room(gateway, namespace, room, moment, template)
    finally:
        await gateway.close()


async def capture_room(
    gateway: KubernetesGateway, namespace: str, room: str, moment: str, template: dict[str, Any]
) -> int:
    """Make a capture of each buffer of a room, and print the names.

    Args:
        gateway: The Kubernetes API, with the user's rights.
        namespace: Where the buffers are.
        room: Whose buffers.
        moment: Begins the name of each capture, and is its label.
        template: The spec of all of them, without `bufferRef`.

    Returns:
        The exit code.

    Raises:
        ClusterError: The buffers cannot be listed.
    """
    found = [ReplayBuffer.model_validate(body) for body in await gateway.list(BUFFERS, namespace)]
    names = sorted(buffer.metadata.name for buffer in found if buffer.spec.room == room)
    if not names:
        return _complain(f"namespace {namespace} has no ReplayBuffer of room {room!r}")
    failed = 0
    for body in (capture_body(buffer, moment, template) for buffer in names):
        try:
            await gateway.create(CAPTURES, namespace, body)
        except ClusterError as error:
            # The others are made all the same: their media does not wait.
            failed = _complain(str(error))
        else:
            sys.stdout.write(f"{body['metadata']['name']}\n")
    return failed


def capture_body(buffer: str, moment: str, template: dict[str, Any]) -> dict[str, Any]:
    """Build one capture.

    Args:
        buffer: Name of its buffer.
        moment: Begins its name, and is its label.
        template: The spec of all captures of this call.
    """
    return {
        "apiVersion": CAPTURES.api_version,
        "kind": CAPTURES.kind,
        "metadata": {"name": _name(moment, buffer), "labels": {MOMENT_LABEL: moment}},
        "spec": {"bufferRef": {"name": buffer}, **template},
    }


def capture_template(
    flags: argparse.Namespace, *, start: datetime, end: datetime, moment: str
) -> dict[str, Any]:
    """Build what the specs of all captures of this call have in common.

    Args:
        flags: The command line.
        start: First instant.
        end: Last instant.
        moment: Title of the clips when none was given.
    """
    spec: dict[str, Any] = {
        "range": {"between": {"start": _rfc3339(start), "end": _rfc3339(end)}},
        "trim": flags.trim,
        "tail": flags.tail,
        "deletionPolicy": flags.deletion_policy,
        "output": {"title": flags.title or moment},
    }
    if flags.ttl is not None:
        spec["ttlSecondsAfterFinished"] = flags.ttl
    return spec


def _range(flags: argparse.Namespace, now: datetime) -> tuple[datetime, datetime]:
    if flags.last is not None:
        return now - timedelta(seconds=flags.last), now + timedelta(seconds=flags.post_roll)
    return flags.start, flags.end


def _name(moment: str, buffer: str) -> str:
    name = f"{moment}-{buffer}"
    if len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_NAME - 9].rstrip('-.')}-{digest}"


def _label(room: str) -> str:
    """Turn a room's name into the begin of an object's name; the time follows, and makes it unique."""
    return re.sub(r"[^a-z0-9]+", "-", room.lower())[:40].strip("-") or "room"


def _moment(text: str) -> str:
    if len(text) > _MAX_MOMENT or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot begin a name: at most {_MAX_MOMENT} lower-case letters, digits and '-'"
        )
    return text


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no RFC 3339 time with a zone, such as 2026-01-31T12:00:00Z"
        )
    return moment


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _values(kind: Iterable[Trim | Tail | DeletionPolicy]) -> list[str]:
    return [each.value for each in kind]


def _complain(message: str) -> int:
    sys.stderr.write(f"replay-operator: {message}\n")
    return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _RangeParser(
        prog="replay-operator capture-room",
        description="Make a ReplayCapture of each buffer of a room, all over one range; print their names.",
    )
    parser.add_argument("room", help="spec.room of the buffers")
    parser.add_argument("--last", type=int, metavar="SECONDS", help="from so many seconds ago until now")
    parser.add_argument("--post-roll", type=int, default=0, metavar="SECONDS", help="with --last: go on")
    parser.add_argument("--start", type=_instant, metavar="RFC3339", help="first instant")
    parser.add_argument("--end", type=_instant, metavar="RFC3339", help="last instant; may be in the future")
    parser.add_argument("--name", type=_moment, help="begins their names; default: room and time")
    parser.add_argument("--title", help="title of the clips; default: the name")
    parser.add_argument("--trim", choices=_values(Trim), default=Trim.EXACT.value)
    parser.add_argument("--tail", choices=_values(Tail), default=Tail.WAIT.value)
    parser.add_argument(
        "--deletion-policy", choices=_values(DeletionPolicy), default=DeletionPolicy.RETAIN.value
    )
    parser.add_argument("--ttl", type=int, metavar="SECONDS", help="ttlSecondsAfterFinished")
    parser.add_argument("-n", "--namespace", help="default: that of the kubeconfig's current context")
    parser.add_argument("--kubeconfig", type=Path, help="default: $KUBECONFIG, else ~/.kube/config")
    return parser


class _RangeParser(argparse.ArgumentParser):
    """Refuses a command line without exactly one range."""

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        flags = super().parse_args(*arguments, **options)
        absolute = flags.start is not None and flags.end is not None
        if (flags.last is not None) == absolute or (flags.start is None) != (flags.end is None):
            self.error("give either --last, or --start and --end")
        if absolute and flags.start >= flags.end:
            self.error("--start must lie before --end")
        return flags

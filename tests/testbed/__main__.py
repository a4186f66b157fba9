"""The test bed by hand: `python -m tests.testbed up` starts a cluster, `build` only builds its programs."""

import argparse
import contextlib
import dataclasses
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType

from tests.stack.images import stack_images
from tests.testbed.binaries import (
    control_plane_binaries,
    helm_binary,
    livekit_server_binary,
    s3_server_binary,
)
from tests.testbed.build_cache import print_report
from tests.testbed.controlplane import ControlPlane
from tests.testbed.errors import TestbedError
from tests.testbed.node import Image, NodeStandIn

_CHECK_SECONDS = 0.5


def main() -> int:
    """Runs the command and returns its exit code."""
    arguments = _parser().parse_args()
    # Both signals leave the way an exception does, so that everything that was started is ended.
    signal.signal(signal.SIGINT, _exit)
    signal.signal(signal.SIGTERM, _exit)
    try:
        if arguments.command == "build":
            programs = dataclasses.astuple(control_plane_binaries())
            print(*programs, livekit_server_binary(), helm_binary(), s3_server_binary(), sep="\n")
        else:
            _up(
                {**stack_images(), **dict(arguments.image)},
                with_node=not arguments.no_node,
                keep_directory=arguments.keep,
            )
    except TestbedError as error:
        print_report(f"{error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "build", help="build the control plane, livekit-server, helm and versitygw into the cache"
    )
    up = commands.add_parser("up", help="start a cluster and stay in the foreground until Ctrl-C")
    up.add_argument("--no-node", action="store_true", help="the control plane alone: pods stay Pending")
    up.add_argument(
        "--image",
        action="append",
        default=[],
        type=_image,
        metavar="NAME=COMMAND",
        help="what the node runs for a further image, a program of this machine; may be repeated",
    )
    up.add_argument("--keep", action="store_true", help="leave the directory with the logs at the end")
    return parser


def _image(text: str) -> tuple[str, Image]:
    name, separator, command = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND, such as busybox=/bin/sh")
    return name, Image(entrypoint=tuple(shlex.split(command)))


def _up(images: Mapping[str, Image], *, with_node: bool, keep_directory: bool) -> None:
    started_at = time.monotonic()
    with contextlib.ExitStack() as stack:
        plane = stack.enter_context(ControlPlane(keep_directory=keep_directory))
        if with_node:
            stack.enter_context(NodeStandIn(plane.kubeconfig, plane.directory / "node", images))
        print_report(
            f"up after {time.monotonic() - started_at:.1f} s, files in {plane.directory}; end it with Ctrl-C"
        )
        print(f"export KUBECONFIG={plane.kubeconfig}", flush=True)
        while True:
            plane.check()
            time.sleep(_CHECK_SECONDS)


def _exit(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

"""`replay-operator`: one program, one subcommand for each process of the system.

Each subcommand imports what it runs, and no more: a capture Job must not pay for the Kubernetes client.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence

from replay_operator import __version__

EXIT_NOT_LEADING = 75
"""EX_TEMPFAIL: the Lease was lost; the pod starts again and waits its turn."""

EXIT_CONFIGURATION = 78
"""EX_CONFIG: settings or the cluster lack something; the message says what."""


COLLECTOR_THRESHOLDS = (50_000, 50, 100)
"""With Python's own (700, 10, 10) every answer about thousands of objects causes collections that walk all
that is known: half of the time that such an answer takes (benchmarks/README.md)."""


def main() -> None:
    """Run the subcommand of the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one subcommand.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="replay-operator", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"replay-operator {__version__}")
    commands: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
        "run": ("run the operator", _operator),
        "agent": ("run the agent of a buffer volume", _agent),
        "capture": ("cut one clip (see `capture --help`)", _capture),
        "upload": ("upload one clip to object storage", _upload),
        "capture-room": ("capture one moment of a room from all of its buffers", _capture_room),
        "doctor": ("check a live install against the production checklist", _doctor),
        "catalogue": ("look into the catalogue, and set the limits of owners", _catalogue),
        "drain": ("end all recordings of an install before it is removed", _drain),
        "crds": ("write or check the resource definitions", _crds),
        "benchmark-volume": ("measure what a mounted volume can take in writes", _benchmark_volume),
        "plan": ("say what a number of users needs: workers, CPU, memory, storage", _plan),
    }
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, _) in commands.items():
        subparsers.add_parser(name, help=summary, add_help=False)
    if not arguments or arguments[0] not in commands:
        parser.parse_args(arguments)
        return EXIT_CONFIGURATION
    return commands[arguments[0]][1](arguments[1:])


def _operator(arguments: Sequence[str]) -> int:
    import asyncio  # noqa: PLC0415 - a capture does not need it, and it takes a while to import

    from pydantic import ValidationError  # noqa: PLC0415 - only this process needs it

    from replay_operator.catalogue.errors import CatalogueError  # noqa: PLC0415 - see above
    from replay_operator.controller.leader import LeadershipLost  # noqa: PLC0415 - see above
    from replay_operator.controller.runtime import NotInstalled, run_operator  # noqa: PLC0415 - see above
    from replay_operator.logs import set_up_logging  # noqa: PLC0415 - see above
    from replay_operator.settings import (  # noqa: PLC0415 - see above
        LiveKitSettings,
        OperatorSettings,
        UploadSettings,
    )

    _no_arguments("run", "The operator; its settings are REPLAY_* and LIVEKIT_* variables.", arguments)
    try:
        settings, livekit, uploads = OperatorSettings(), LiveKitSettings(), UploadSettings()
    except ValidationError as error:
        return _misconfigured(str(error))
    set_up_logging(settings.log_level, format_=settings.log_format, levels=settings.log_levels)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        asyncio.run(run_operator(settings, livekit, uploads))
    except (NotInstalled, CatalogueError) as error:
        return _misconfigured(str(error))
    except LeadershipLost as error:
        logging.getLogger("replay_operator").warning("%s", error)
        return EXIT_NOT_LEADING
    return 0


def _agent(arguments: Sequence[str]) -> int:
    import asyncio  # noqa: PLC0415 - see above

    from pydantic import ValidationError  # noqa: PLC0415 - only this process needs it

    from replay_operator.agent.main import run_agent  # noqa: PLC0415 - see above
    from replay_operator.agent.settings import AgentSettings  # noqa: PLC0415 - see above
    from replay_operator.logs import set_up_logging  # noqa: PLC0415 - see above

    _no_arguments("agent", "The agent; its settings are REPLAY_AGENT_* variables.", arguments)
    try:
        settings = AgentSettings()
    except ValidationError as error:
        return _misconfigured(str(error))
    set_up_logging(settings.log_level, format_=settings.log_format, levels=settings.log_levels)
    asyncio.run(run_agent(settings))
    return 0


def _capture(arguments: Sequence[str]) -> int:
    # Looking for plugins of pydantic reads the metadata of every installed package.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from replay_operator.media.worker import run_capture  # noqa: PLC0415 - only this process needs it

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return run_capture(arguments, os.environ)


def _upload(arguments: Sequence[str]) -> int:
    from replay_operator.bucket.worker import run_upload  # noqa: PLC0415 - only this process needs it

    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return run_upload(arguments, os.environ)


def _capture_room(arguments: Sequence[str]) -> int:
    from replay_operator.cli.capture_room import main as capture_room  # noqa: PLC0415 - only this process needs it

    return capture_room(arguments)


def _doctor(arguments: Sequence[str]) -> int:
    from replay_operator.cli.doctor.command import main as doctor  # noqa: PLC0415 - only this process needs it

    return doctor(arguments)


def _catalogue(arguments: Sequence[str]) -> int:
    from replay_operator.cli.catalogue.command import main as catalogue  # noqa: PLC0415 - only this process needs it

    return catalogue(arguments)


def _drain(arguments: Sequence[str]) -> int:
    from replay_operator.cli.drain import main as drain  # noqa: PLC0415 - only this process needs it

    return drain(arguments)


def _crds(arguments: Sequence[str]) -> int:
    from replay_operator.cli.crds import main as crds  # noqa: PLC0415 - only this process needs it

    return crds(arguments)


def _plan(arguments: Sequence[str]) -> int:
    from replay_operator.cli.plan import main as plan  # noqa: PLC0415 - only this process needs it

    return plan(arguments)


def _benchmark_volume(arguments: Sequence[str]) -> int:
    from replay_operator.cli.benchmark_volume import main as benchmark  # noqa: PLC0415 - see above

    return benchmark(arguments)


def _no_arguments(name: str, description: str, arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(prog=f"replay-operator {name}", description=description).parse_args(arguments)


def _misconfigured(message: str) -> int:
    print(f"replay-operator: {message}", file=sys.stderr)  # noqa: T201 - before logging is set up
    return EXIT_CONFIGURATION

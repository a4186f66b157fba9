"""`kubectl-replay`: kubectl runs it as `kubectl replay`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from pydantic import ValidationError

from replay_operator import __version__
from replay_operator.cluster.gateway import ClusterError
from replay_operator.kubectl import captures, describe, download, ls, save, start, stop
from replay_operator.kubectl.errors import (
    EXIT_ERROR,
    EXIT_INTERRUPTED,
    PluginError,
    sentence,
    server_sentence,
)
from replay_operator.kubectl.flags import cluster_flags

PROGRAM = "kubectl replay"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kubectl-replay", message="%(prog)s %(version)s")
@cluster_flags
def replay() -> None:
    r"""Save what has just happened in a LiveKit room.

    \b
      kubectl replay start standup/alice --window 10m
      kubectl replay ls
      kubectl replay save standup-alice-screen --last 5m --wait
      kubectl replay download CAPTURE
    """


for each in (
    start.command,
    ls.command,
    describe.command,
    save.command,
    captures.command,
    download.command,
    captures.cancel,
    stop.command,
    stop.forget,
):
    replay.add_command(each)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit code.
    """
    try:
        return int(replay.main(list(arguments), PROGRAM, standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except (click.ClickException, ClusterError, PluginError, ValidationError) as error:
        click.echo(_words(error), err=True)
        return error.exit_code if isinstance(error, PluginError) else EXIT_ERROR


def _words(error: click.ClickException | ClusterError | PluginError | ValidationError) -> str:
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else PROGRAM
            return f"error: {error.format_message()}\nSee '{command} --help' for usage."
        case click.ClickException():
            return f"error: {error.format_message()}"
        case ClusterError():
            return server_sentence(error)
        case PluginError():
            return sentence(error)
        case _:
            return f"error: the cluster holds a {error.title} that this version of the plugin cannot read"

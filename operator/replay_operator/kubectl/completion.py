"""Names for the shell to complete, and the answer to kubectl when it asks for completions.

kubectl runs `kubectl_complete-replay WORD...` and reads one candidate a line, a tab before its description,
and at last a line with a colon and a number that says what the shell shall do (cobra's ShellCompDirective).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem, ShellComplete

from replay_operator.cluster.gateway import ClusterError
from replay_operator.cluster.resources import ResourceType
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.session import ClusterFlags, connect

PATIENCE_SECONDS = 3.0
"""Who presses tab does not wait longer; kubectl itself has no limit."""

_NO_FILES = 4
"""cobra's ShellCompDirectiveNoFileComp."""
_FILES = 0
"""cobra's ShellCompDirectiveDefault: the shell completes file names."""
_FILE_TYPES = frozenset({"file", "dir"})


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


def candidates(program: click.Command, words: Sequence[str]) -> str:
    """Write the answer to kubectl.

    Args:
        program: The plugin's command.
        words: What stands after `kubectl replay`; the last one is being typed, and may be empty.
    """
    *done, incomplete = words or ("",)
    completer = ShellComplete(program, {}, "kubectl replay", "_KUBECTL_REPLAY_COMPLETE")
    items = completer.get_completions(done, incomplete)
    files = any(item.type in _FILE_TYPES for item in items)
    lines = [f"{i.value}\t{i.help}" if i.help else str(i.value) for i in items if i.type not in _FILE_TYPES]
    return "\n".join([*lines, f":{_FILES if files else _NO_FILES}", ""])


def main() -> None:
    """Answer kubectl."""
    from replay_operator.kubectl.program import replay  # noqa: PLC0415 - the program needs `names_of`

    sys.stdout.write(candidates(replay, sys.argv[1:]))

"""The answer to kubectl when it asks for completions.

kubectl runs `kubectl_complete-replay WORD...` and reads one candidate a line, a tab before its description,
and at last a line with a colon and a number that says what the shell shall do (cobra's ShellCompDirective).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from replay_operator.kubectl.program import replay

_NO_FILES = 4
"""cobra's ShellCompDirectiveNoFileComp."""
_FILES = 0
"""cobra's ShellCompDirectiveDefault: the shell completes file names."""
_FILE_TYPES = frozenset({"file", "dir"})


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
    sys.stdout.write(candidates(replay, sys.argv[1:]))

"""Where words go: what was asked for to standard output, what is said about it to standard error."""

from __future__ import annotations

import click

from replay_operator.cluster.gateway import Json
from replay_operator.kubectl.flags import Format
from replay_operator.kubectl.table import one_object


def tell(text: str) -> None:
    """Write what was asked for."""
    click.echo(text)


def remark(text: str) -> None:
    """Write what a reader should know beside it."""
    click.echo(text, err=True)


def tell_object(item: Json, format_: Format, line: str) -> None:
    """Write an object as -o says, else a line about it.

    Args:
        item: As the API server gave it.
        format_: What -o says.
        line: What to write without -o.
    """
    tell(line if format_ in (Format.TABLE, Format.WIDE) else one_object(item, format_))

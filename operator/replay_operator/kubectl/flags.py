"""Flags and arguments that several subcommands have, and how they are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.kubectl.duration import parse_duration
from replay_operator.kubectl.names_in_cluster import names_of
from replay_operator.kubectl.session import ClusterFlags

F = TypeVar("F", bound=Callable[..., Any])

_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class Format(StrEnum):
    """How objects are written to standard output."""

    TABLE = ""
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class DurationType(click.ParamType[timedelta]):
    """A length of time, such as 5m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it; a default is one already."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ObjectName(click.ParamType[str]):
    """Name of an object of one kind, alone or as KIND/NAME: what `-o name` writes can be given back."""

    def __init__(self, type_: ResourceType, short: str) -> None:
        """Take the kind.

        Args:
            type_: Which kind.
            short: Its short name.
        """
        self.name = type_.kind
        self._type = type_
        singular = type_.kind.lower()
        self._prefixes = {short, singular, type_.plural}
        self._prefixes |= {f"{each}.{type_.group}" for each in (singular, type_.plural)}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it: it becomes part of a URL."""
        prefix, slash, rest = str(value).rpartition("/")
        if slash and prefix not in self._prefixes:
            self.fail(f"{value!r} is no {self._type.kind}", param, ctx)
        if not _OBJECT_NAME.fullmatch(rest):
            self.fail(f"{rest!r} cannot be the name of a {self._type.kind}", param, ctx)
        return rest

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Give the names in the namespace."""
        del param
        return names_of(ctx, self._type, incomplete)


DURATION = DurationType()
BUFFER = ObjectName(BUFFERS, "rb")
CAPTURE = ObjectName(CAPTURES, "rcap")


def choice_of(values: type[StrEnum]) -> click.Choice[str]:
    """Make the type of a flag that takes one of the values of an enumeration, in any case."""
    return click.Choice([each.value for each in values], case_sensitive=False)


def cluster_flags(command: F) -> F:
    """Add -n, --context and --kubeconfig, as kubectl has them."""
    for add in (
        _remembered(
            "kubeconfig", "--kubeconfig", type=click.Path(path_type=Path), help="The kubeconfig file."
        ),
        _remembered("context", "--context", help="The context of the kubeconfig to use."),
        _remembered("namespace", "-n", "--namespace", help="The namespace; else that of the context."),
    ):
        command = add(command)
    return command


def output_flag(command: F) -> F:
    """Add -o."""
    formats = click.Choice([each.value for each in Format if each is not Format.TABLE])
    return click.option("-o", "--output", "output", type=formats, default=None, help="Output format.")(
        command
    )


def format_of(output: str | None) -> Format:
    """Give the format that -o names."""
    return Format(output or "")


def _remembered(field: str, *names: str, **options: Any) -> Callable[[F], F]:
    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        flags = ctx.ensure_object(ClusterFlags)
        if value is not None:
            setattr(flags, field, value)

    return click.option(*names, expose_value=False, callback=remember, **options)

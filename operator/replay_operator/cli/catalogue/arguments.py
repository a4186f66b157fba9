"""The command line of `replay-operator catalogue`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from replay_operator.api.replaybuffer import OWNER_LENGTH, OWNER_PATTERN
from replay_operator.catalogue.listing import MOST_ON_A_PAGE
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.cli.numbers import whole_number
from replay_operator.domain.quantity import parse_quantity
from replay_operator.domain.quotas import QuotaLimits

_ON_A_PAGE = 50
_NUMBERS = range(2**31)
"""What the database's columns hold."""

_MOST_BYTES = 2**63 - 1

_AGO = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


if TYPE_CHECKING:
    Questions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name


class Question(StrEnum):
    """What is asked for."""

    CLIPS = "clips"
    SESSIONS = "sessions"
    QUOTA = "quota"


class Change(StrEnum):
    """What is done to an owner's own limits."""

    SET = "set"
    UNSET = "unset"


def parse(arguments: Sequence[str], now: datetime) -> argparse.Namespace:
    """Read a command line; one that makes no sense ends the program with exit code 2.

    Args:
        arguments: Without the program's name and the subcommand.
        now: What `--since 2h` counts from.
    """
    top = argparse.ArgumentParser(
        prog="replay-operator catalogue",
        description="What the catalogue knows of sessions, clips and quotas.",
        epilog="The catalogue is that of REPLAY_CATALOGUE_URL. In the operator's pod it is set: "
        "kubectl exec deploy/replay-operator -- replay-operator catalogue clips --owner user-42",
    )
    questions = top.add_subparsers(dest="question", required=True, metavar="clips|sessions|quota")
    _add_list(questions, Question.CLIPS, "clips, newest first", ClipStatus, now)
    _add_list(
        questions, Question.SESSIONS, "sessions (the lives of buffers), newest first", SessionStatus, now
    )
    quota = questions.add_parser(
        Question.QUOTA,
        help="what owners use and may have; set, unset: their own limits",
        description="Show what owners use and may have. A limit with a * is the owner's own.",
    )
    quota.set_defaults(change=None)
    quota.add_argument("--owner", type=_owner, help="this person alone")
    _add_paging(quota)
    changes = quota.add_subparsers(metavar="[set|unset]")
    setting = _add_set(changes)
    _add_unset(changes)
    flags = top.parse_args(arguments)
    if flags.question == Question.QUOTA and flags.change == Change.SET and limits_of(flags) == QuotaLimits():
        setting.error("give at least one limit")
    return flags


def limits_of(flags: argparse.Namespace) -> QuotaLimits:
    """Give the limits that a command line sets; None: it says nothing of that one.

    Args:
        flags: What was parsed.
    """
    return QuotaLimits(
        archive_bytes=flags.archive_bytes,
        buffers=flags.buffers,
        captures_per_minute=flags.captures_per_minute,
        captures_per_hour=flags.captures_per_hour,
    )


def _add_list(
    questions: Questions, question: Question, what: str, statuses: type[StrEnum], now: datetime
) -> None:
    one = questions.add_parser(question, help=what, description=f"List {what}.")
    one.add_argument("--owner", type=_owner, help="of this person")
    one.add_argument("--room", help="in this room")
    one.add_argument(
        "--status",
        action="append",
        type=_status(statuses),
        metavar="|".join(statuses),
        help="of this status; may be given more than once",
    )
    one.add_argument(
        "--since",
        type=_since(now),
        metavar="TIME",
        help="made at this time or later: RFC 3339, a date, or so long ago: 30m, 12h, 7d",
    )
    _add_paging(one)


def _add_set(changes: Questions) -> argparse.ArgumentParser:
    one = changes.add_parser(
        Change.SET,
        help="give an owner limits of its own",
        description="Give an owner limits of its own, in the place of the install's defaults. Those that are "
        "not named stay as they are.",
    )
    one.set_defaults(change=Change.SET)
    one.add_argument("changed_owner", type=_owner, metavar="OWNER")
    number = whole_number(_NUMBERS)
    one.add_argument("--archive-bytes", type=_quantity, metavar="BYTES", help="of all clips, like 50Gi")
    one.add_argument("--buffers", type=number, metavar="N", help="at once")
    one.add_argument("--captures-per-minute", type=number, metavar="N")
    one.add_argument("--captures-per-hour", type=number, metavar="N")
    _add_output(one)
    return one


def _add_unset(changes: Questions) -> None:
    one = changes.add_parser(
        Change.UNSET,
        help="let an owner have the defaults again",
        description="Take all of an owner's own limits back: the install's defaults hold again.",
    )
    one.set_defaults(change=Change.UNSET)
    one.add_argument("changed_owner", type=_owner, metavar="OWNER")
    _add_output(one)


def _add_paging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        type=whole_number(range(1, MOST_ON_A_PAGE + 1)),
        default=_ON_A_PAGE,
        metavar="N",
        help=f"lines on a page, at most {MOST_ON_A_PAGE} (%(default)s)",
    )
    parser.add_argument("--cursor", help="what the page before said is the next one's")
    _add_output(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")


def _owner(text: str) -> str:
    if len(text) > OWNER_LENGTH or re.fullmatch(OWNER_PATTERN, text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} can be no spec.owner: letters, digits, '.', '-' and '_'")
    return text


def _status(statuses: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parsed(text: str) -> StrEnum:
        try:
            return statuses(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(statuses)}") from None

    return parsed


def _quantity(text: str) -> int:
    try:
        size = parse_quantity(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size > _MOST_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {_MOST_BYTES} bytes")
    return size


def _since(now: datetime) -> Callable[[str], datetime]:
    def parsed(text: str) -> datetime:
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no time: write 2026-11-23T12:00:00Z, 2026-11-23, or so long ago: 30m, 12h, 7d"
            ) from None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    return parsed

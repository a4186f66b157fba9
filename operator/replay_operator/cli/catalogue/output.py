"""Answers of the catalogue as tables for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from replay_operator.api.model import ApiModel
from replay_operator.catalogue.answers import (
    ClipAnswer,
    ClipListAnswer,
    QuotaAnswer,
    QuotaListAnswer,
    SessionListAnswer,
    UseAnswer,
)

_NONE = "-"
_LONGEST_CELL = 40


def as_json(answer: ApiModel) -> str:
    """Give an answer for programs: the same JSON as the read API's.

    Args:
        answer: Of the catalogue.
    """
    return json.dumps(answer.to_wire(), indent=2, ensure_ascii=False) + "\n"


def as_table(answer: ApiModel) -> str:
    """Give an answer for people.

    Args:
        answer: Of the catalogue.
    """
    match answer:
        case ClipListAnswer():
            return _page(_CLIPS, [_clip(clip) for clip in answer.clips], answer.next)
        case SessionListAnswer():
            rows = [
                (
                    _time(one.created_at),
                    one.status,
                    one.reason,
                    one.owner or _NONE,
                    one.room,
                    one.participant or _NONE,
                    _time(one.ended_at),
                    f"{one.namespace}/{one.name}",
                )
                for one in answer.sessions
            ]
            return _page(_SESSIONS, rows, answer.next)
        case QuotaListAnswer():
            return _page(_QUOTAS, [_quota(quota) for quota in answer.quotas], answer.next)
        case _:
            raise TypeError(f"there is no table for {type(answer).__name__}")


_CLIPS = ("CREATED", "STATUS", "OWNER", "ROOM", "LENGTH", "SIZE", "CAPTURE", "TITLE")
_SESSIONS = ("CREATED", "STATUS", "REASON", "OWNER", "ROOM", "PARTICIPANT", "ENDED", "BUFFER")
_QUOTAS = ("OWNER", "ARCHIVE", "RESERVED", "BUFFERS", "LAST MINUTE", "LAST HOUR")


def _clip(clip: ClipAnswer) -> tuple[str, ...]:
    sizes = [file.bytes for file in clip.files if file.bytes is not None]
    return (
        _time(clip.created_at),
        # Of a clip that is not there the reason says more.
        clip.status if clip.files else f"{clip.status} ({clip.reason})",
        clip.owner or _NONE,
        clip.room or _NONE,
        _NONE if clip.milliseconds is None else _length(clip.milliseconds),
        _size(sum(sizes)) if sizes else _NONE,
        f"{clip.namespace}/{clip.name}",
        clip.title or _NONE,
    )


def _quota(quota: QuotaAnswer) -> tuple[str, ...]:
    return (
        quota.owner,
        _use(quota.archive_bytes, sizes=True),
        _size(quota.reserved_bytes),
        _use(quota.buffers),
        _use(quota.captures_per_minute),
        _use(quota.captures_per_hour),
    )


def _use(use: UseAnswer, *, sizes: bool = False) -> str:
    shown = _size if sizes else str
    if use.limit is None:
        return shown(use.used)
    return f"{shown(use.used)} of {shown(use.limit)}{'*' if use.own else ''}"


def _page(head: Sequence[str], rows: Sequence[Sequence[str]], cursor: str | None) -> str:
    if not rows:
        return "nothing found\n"
    table = [head, *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    if cursor is not None:
        lines += ["", f"There is more: --cursor {cursor}"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Leave out what a terminal would obey: titles and names of rooms are other people's words."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 1]}…"


def _time(moment: datetime | None) -> str:
    return _NONE if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _length(milliseconds: int) -> str:
    minutes, seconds = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _size(size_bytes: int) -> str:
    """Write bytes with one decimal in the largest unit that they fill."""
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:  # noqa: PLR2004 - binary units
            break
        size, unit = size / 1024, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"

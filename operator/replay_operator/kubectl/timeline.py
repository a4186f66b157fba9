"""A buffer's window as a picture of characters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from replay_operator.kubectl.duration import exact
from replay_operator.kubectl.window import Stretch

LABEL_WIDTH = 10
NARROWEST = 20


@dataclass(frozen=True, slots=True)
class Ink:
    """The characters to draw with."""

    whole: str
    part: str
    nothing: str
    pinned: str


BLOCKS = Ink(whole="█", part="▒", nothing="·", pinned="━")
ASCII = Ink(whole="#", part="+", nothing=".", pinned="=")


def ink_for(encoding: str | None) -> Ink:
    """Choose characters that an output can write.

    Args:
        encoding: The output's; None: not known.
    """
    try:
        (BLOCKS.whole + BLOCKS.part + BLOCKS.nothing + BLOCKS.pinned).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def picture(
    axis: Stretch,
    recorded: Sequence[Stretch],
    pins: Sequence[Stretch],
    *,
    width: int,
    ink: Ink,
) -> list[str]:
    """Draw what is recorded and what is pinned over one axis of time.

    A cell is whole when all of its time is there, and nothing when none is: a hole shows in a cell that is
    longer than it as a part.

    Args:
        axis: First and last instant; its name stands under the right end.
        recorded: What is there; stretches may overlap.
        pins: What is kept for captures, a line each, with its name.
        width: Columns of the whole picture.
        ink: What to draw with.
    """
    columns = max(NARROWEST, width - LABEL_WIDTH)
    there = (ink.whole, ink.part, ink.nothing)
    # A pin is drawn wherever it touches: a short one must not vanish.
    held = (ink.pinned, ink.pinned, ink.nothing)
    lines = [_label("recorded") + _cells(axis, recorded, columns, there)]
    lines.append(_label("") + _scale(axis, columns))
    lines += [_label("pinned") + _cells(axis, [pin], columns, held) + f" {pin.name}" for pin in pins]
    return lines


def _label(text: str) -> str:
    return text.ljust(LABEL_WIDTH)


_Marks = tuple[str, str, str]
"""For a column that is there, that is there in part, and that is not."""


def _cells(axis: Stretch, there: Sequence[Stretch], columns: int, marks: _Marks) -> str:
    step, merged = axis.length / columns, _merged(there)
    return "".join(_cell(axis.start + step * column, step, merged, marks) for column in range(columns))


def _cell(start: datetime, step: timedelta, there: Sequence[Stretch], marks: _Marks) -> str:
    end = start + step
    covered = sum((max(min(end, s.end) - max(start, s.start), timedelta()) for s in there), timedelta())
    whole, part, nothing = marks
    if not covered:
        return nothing
    # Steps are whole microseconds: one of them may be lost to rounding.
    return whole if covered >= step - timedelta(milliseconds=1) else part


def _merged(stretches: Sequence[Stretch]) -> list[Stretch]:
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda s: s.start):
        if merged and stretch.start <= merged[-1].end:
            merged[-1] = Stretch(merged[-1].start, max(merged[-1].end, stretch.end))
        else:
            merged.append(stretch)
    return merged


def _scale(axis: Stretch, columns: int) -> str:
    left, right = f"|-{exact(axis.length)}", f"{axis.name}|"
    middle = f"-{exact(axis.length / 2)}"
    line = left.ljust(columns - len(right)) + right
    at = columns // 2
    if len(left) < at and at + len(middle) < columns - len(right):
        line = line[:at] + middle + line[at + len(middle) :]
    return line

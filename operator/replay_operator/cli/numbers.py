"""Numbers on a command line, refused with a sentence when they are out of their bounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole_number(bounds: range) -> Callable[[str], int]:
    """Make a parser of a whole number.

    Args:
        bounds: What it may be.
    """

    def parsed(text: str) -> int:
        if not text.isdecimal() or int(text) not in bounds:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {bounds[0]} to {bounds[-1]}")
        return int(text)

    return parsed


def whole_numbers(bounds: range) -> Callable[[str], tuple[int, ...]]:
    """Make a parser of whole numbers with commas between them.

    Args:
        bounds: What each may be.
    """
    one = whole_number(bounds)
    return lambda text: tuple(one(part) for part in text.split(","))


def number(least: float, most: float) -> Callable[[str], float]:
    """Make a parser of a number.

    Args:
        least: It is at least that.
        most: It is at most that.
    """

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least:g} to {most:g}")
        return value

    return parsed

"""What a check says: pass, warn or fail, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is. WARN: it may cost somebody something, or nobody could look."""

    PASS = "PASS"  # noqa: S105 - no password
    WARN = "WARN"
    FAIL = "FAIL"


_ORDER = (Level.PASS, Level.WARN, Level.FAIL)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check says. `mend` is empty when there is nothing to mend."""

    level: Level
    message: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A fact that could not be gathered: why not, and what would let it be seen."""

    why: str
    mend: str


def passed(message: str) -> Verdict:
    """All is as it should be."""
    return Verdict(Level.PASS, message)


def warned(message: str, mend: str) -> Verdict:
    """It works, and something is not as it should be."""
    return Verdict(Level.WARN, message, mend)


def failed(message: str, mend: str) -> Verdict:
    """It does not work, or will not when it matters."""
    return Verdict(Level.FAIL, message, mend)


def not_seen(fact: Unseen) -> Verdict:
    """Nobody could look: that is no failure, and no proof either."""
    return warned(f"not checked: {fact.why}", fact.mend)


def worst(level: Iterable[Level]) -> Level:
    """Give the worst of some levels; PASS of none."""
    return max(level, key=_ORDER.index, default=Level.PASS)


def together(verdicts: Iterable[Verdict], otherwise: str) -> Verdict:
    """Make one line of several verdicts: the worst level, and the words of all that are not a pass.

    Args:
        verdicts: About parts of one subject; passes among them are not repeated.
        otherwise: What to say when there is nothing but passes.
    """
    bad = sorted((v for v in verdicts if v.level is not Level.PASS), key=lambda v: -_ORDER.index(v.level))
    if not bad:
        return passed(otherwise)
    mends = dict.fromkeys(v.mend for v in bad if v.mend)
    return Verdict(bad[0].level, "; ".join(v.message for v in bad), "; ".join(mends))

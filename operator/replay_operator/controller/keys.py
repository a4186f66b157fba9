"""What is queued: an object by kind and uid, so that a namesake made later is another key."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The two kinds that are reconciled."""

    BUFFER = "ReplayBuffer"
    CAPTURE = "ReplayCapture"


class Key(NamedTuple):
    """One object."""

    kind: Kind
    uid: str

"""The form that every fault has: something that begins, and something that ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.plan import Fault, FaultKind


def _over(_: Fault) -> None:
    """Nothing: the fault is an instant, or ends by itself."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done when a fault begins, and when it ends."""

    begin: Callable[[Fault], None]
    end: Callable[[Fault], None] = _over


class Faults(Protocol):
    """The faults of one part of the system."""

    def deeds(self) -> Mapping[FaultKind, Deed]:
        """Give what is done for each kind."""

    def heal(self) -> None:
        """End whatever is still under way."""


def let_time_pass(seconds: float) -> None:
    """Wait for nothing: how long a fault lasts is part of the plan."""
    if seconds > 0:
        threading.Event().wait(seconds)

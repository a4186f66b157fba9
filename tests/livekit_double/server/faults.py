"""Faults on demand, and the record of what was called."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    ERROR = "error"  # answered with an error, nothing done
    HOLD = "hold"  # done at once (an egress is registered), answered only after `seconds`
    NO_ANSWER = "no_answer"  # nothing done, no answer until the caller gives up (at most `seconds`)
    DISCONNECT = "disconnect"  # nothing done, the connection is closed
    EMPTY = "empty"  # answered with an empty message
    NO_LAUNCH = "no_launch"  # a start: the handler does not come up; 500, and a FAILED record
    WRONG_CLOCK = "wrong_clock"  # a start: `started_at` of the segments is reported `seconds` too late


@dataclass(slots=True)
class Fault:
    """A fault that hits the next calls of one method.

    Attributes:
        method: for instance `ListEgress`.
        kind: what goes wrong.
        count: how many calls it still hits.
        code: Twirp code of an ERROR.
        message: text of an ERROR.
        status: HTTP status of an ERROR; 0 means the code's own.
        room: hits only calls for this room; empty hits all.
        seconds: how long HOLD and NO_ANSWER take; the error of WRONG_CLOCK.
    """

    method: str
    kind: FaultKind
    count: int = 1
    code: str = "internal"
    message: str = "fault on demand"
    status: int = 0
    seconds: float = 3600.0
    room: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that came in.

    Attributes:
        method: for instance `StopEgress`.
        at: wall clock in seconds when it arrived.
        request: the message, with the field names of the protobuf.
    """

    method: str
    at: float
    request: dict[str, object]


@dataclass(slots=True)
class Faults:
    """Faults waiting for their calls."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Adds a fault behind those of the same method."""
        self.waiting.append(fault)

    def clear(self) -> None:
        """Forgets every fault."""
        self.waiting.clear()

    def take(self, method: str, room: str = "") -> Fault | None:
        """The fault that hits this call, if any. It is used up by one.

        Args:
            method: what is called.
            room: what it is called for, if it names a room.
        """
        for fault in self.waiting:
            if fault.method == method and fault.room in ("", room):
                fault.count -= 1
                if fault.count <= 0:
                    self.waiting.remove(fault)
                return fault
        return None


@dataclass(slots=True)
class CallLog:
    """Every call since the start."""

    calls: list[Call] = field(default_factory=list)

    def of(self, method: str) -> list[Call]:
        """The calls of one method, oldest first."""
        return [call for call in self.calls if call.method == method]

    def counts(self) -> dict[str, int]:
        """How often each method was called."""
        return dict(Counter(call.method for call in self.calls))

"""What a front of the API server does to requests, and to which. Pure, but for the answers it builds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

_WRITES_OVER = frozenset({"PUT", "PATCH"})
_REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class Reaction(Enum):
    """What happens to a request."""

    REFUSE = "answered with an error, not passed on"
    HANG = "taken and never answered, nor passed on"
    DELAY = "passed on later"
    LOSE_ANSWER = "passed on, but answered with 504: done, and nobody knows"
    EXPIRE = "a watch is told that its version is too old"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One request.

    Attributes:
        method: GET, PUT, ...
        path: With the query.
        body: As it came.
    """

    method: str
    path: str
    body: bytes = b""

    @property
    def is_watch(self) -> bool:
        """Whether the answer goes on for as long as both sides like."""
        return "watch=true" in self.path

    def can_be_refused_with(self, status: int) -> bool:
        """Tell whether an API server would give this status to such a request."""
        if status == 409:
            return self.method in _WRITES_OVER
        if status == 410:
            return self.is_watch or "continue=" in self.path
        return True


@dataclass(frozen=True, slots=True)
class ApiFault:
    """What goes wrong with which requests. Empty conditions hold for every request.

    Attributes:
        reaction: What happens.
        methods: HTTP methods that it hits.
        path: A part of the path that it hits.
        spares: A part of the path that it does not hit.
        body: A part of the body that it hits.
        only_watches: It hits nothing else.
        share: Of the requests that it could hit, how many it does hit: 0 to 1.
        statuses: Of a refusal; one of those that fit the request is drawn.
        seconds: Of a delay.
    """

    reaction: Reaction
    methods: frozenset[str] = frozenset()
    path: str = ""
    spares: str = ""
    body: bytes = b""
    only_watches: bool = False
    share: float = 1.0
    statuses: tuple[int, ...] = (500,)
    seconds: float = 0.0

    def hits(self, call: ApiCall, drawn: float) -> bool:
        """Tell whether this happens to a request.

        Args:
            call: The request.
            drawn: A random number from 0 to 1.
        """
        return (
            (not self.methods or call.method in self.methods)
            and self.path in call.path
            and not (self.spares and self.spares in call.path)
            and self.body in call.body
            and (call.is_watch or not self.only_watches)
            and drawn < self.share
        )

    def status_for(self, call: ApiCall, chance: random.Random) -> int:
        """Draw a status of those that fit a request; 500 when none does."""
        fitting = [status for status in self.statuses if call.can_be_refused_with(status)]
        return chance.choice(fitting) if fitting else 500


def refusal(status: int) -> web.Response:
    """Build the answer that an API server refuses with."""
    reason = _REASONS.get(status, "InternalError")
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
    headers = {"Retry-After": "1"} if status == 429 else None
    message = "etcd is away" if status >= 500 else "refused on purpose"
    return web.json_response({**body, "message": message}, status=status, headers=headers)

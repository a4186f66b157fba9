"""What can go wrong between us and LiveKit. Each message says what happened to what, and what to do."""

from __future__ import annotations

from typing import ClassVar


class LiveKitError(Exception):
    """LiveKit did not do what it was asked.

    `reason` is one CamelCase word for a condition. `outcome_unknown` says that a start may have made an
    egress nevertheless: look for its prefix in a later list before starting again (livekit-measured §3).
    """

    reason: ClassVar[str] = "LiveKitError"
    outcome_unknown: ClassVar[bool] = False


class LiveKitUnreachable(LiveKitError):
    """No answer: the connection failed, something between us and LiveKit answered, or time ran out."""

    reason = "LiveKitUnreachable"
    outcome_unknown = True


class NoEgressCapacity(LiveKitError):
    """No egress worker took the request: none runs, all are full, or they shut down."""

    reason = "NoEgressCapacity"
    outcome_unknown = True


class RoomNotFound(LiveKitError):
    """The room does not exist now."""

    reason = "RoomNotFound"


class LiveKitRefused(LiveKitError):
    """LiveKit knows us not, or not for this."""

    reason = "LiveKitRefused"


class BadEgressRequest(LiveKitError):
    """LiveKit found the request wrong; the same request will fail again."""

    reason = "BadEgressRequest"


class LiveKitFailed(LiveKitError):
    """Any other error answer. A start that got a 500 may have left a record (livekit-measured §3)."""

    reason = "LiveKitFailed"
    outcome_unknown = True


class EgressWorkerSilent(LiveKitFailed):
    """The worker that holds an egress does not answer: it is dead or starved.

    A dead worker's egress stays ACTIVE in LiveKit for ever (livekit-measured §3), so a repeated stop will
    fail in the same way.
    """

    reason = "EgressWorkerSilent"

"""Checks of the connection to LiveKit."""

from __future__ import annotations

from replay_operator.domain.checks.facts import Facts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed

_MEND = "check url, api-key and api-secret in the Secret replay-operator-livekit, and that LiveKit runs"


def check_rooms(facts: Facts) -> Verdict:
    """LiveKit's RoomService answers to the key."""
    livekit = facts.livekit
    if isinstance(livekit, Unseen):
        return not_seen(livekit)
    if livekit.rooms_error:
        return failed(livekit.rooms_error, _MEND)
    return passed(f"{livekit.url} tells who is in a room")


def check_egress(facts: Facts) -> Verdict:
    """LiveKit's Egress service answers to the key."""
    livekit = facts.livekit
    if isinstance(livekit, Unseen):
        return not_seen(livekit)
    if livekit.egress_error:
        return failed(livekit.egress_error, f"{_MEND}; egress also needs LiveKit to have Redis")
    return passed(f"{livekit.url} lists its egresses; {livekit.active_egresses} active")

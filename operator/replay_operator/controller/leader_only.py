"""LiveKit for a leader: nothing is started or stopped any more once the Lease is lost.

A decision can be older than the Lease it was made under: the process may have slept between the two. What it
would still do is undone by the next leader, but a stop would cost a recording, and a start a place.
"""

from __future__ import annotations

from collections.abc import Callable

from replay_operator.controller.leader import LeadershipLost
from replay_operator.domain.egress import Egress, Participant, StartRequest
from replay_operator.livekit.port import LiveKit


class LeaderOnlyLiveKit(LiveKit):
    """Passes everything on, starts and stops only while this process leads."""

    def __init__(self, livekit: LiveKit, may_act: Callable[[], bool]) -> None:
        """Take the way to LiveKit.

        Args:
            livekit: It.
            may_act: Whether this process still leads.
        """
        self._livekit = livekit
        self._may_act = may_act

    async def list_active(self) -> tuple[Egress, ...]:
        """See `LiveKit`."""
        return await self._livekit.list_active()

    async def get_egress(self, egress_id: str) -> Egress | None:
        """See `LiveKit`."""
        return await self._livekit.get_egress(egress_id)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        """See `LiveKit`."""
        return await self._livekit.list_room(room)

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        """See `LiveKit`."""
        return await self._livekit.participants(room)

    async def aclose(self) -> None:
        """See `LiveKit`."""
        await self._livekit.aclose()

    async def start(self, request: StartRequest) -> Egress:
        """Start an egress, see `LiveKit`.

        Raises:
            LeadershipLost: This process does not lead any more.
        """
        self._must_lead(f"start a recording of room {request.room}")
        return await self._livekit.start(request)

    async def stop(self, egress_id: str) -> None:
        """Stop an egress, see `LiveKit`.

        Raises:
            LeadershipLost: This process does not lead any more.
        """
        self._must_lead(f"stop egress {egress_id}")
        await self._livekit.stop(egress_id)

    def _must_lead(self, what: str) -> None:
        if not self._may_act():
            raise LeadershipLost(f"did not {what}: this process no longer leads, and the next leader decides")

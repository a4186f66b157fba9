"""What the operator needs of LiveKit, whoever supplies it."""

from __future__ import annotations

from typing import Protocol

from replay_operator.domain.egress import Egress, Participant, StartRequest


class LiveKit(Protocol):
    """LiveKit's egress and rooms. Every method raises a `LiveKitError` when it has no answer to give."""

    async def list_active(self) -> tuple[Egress, ...]:
        """List every egress that is not over, in one call, those of other applications included.

        An egress of another application has an empty or foreign `filename_prefix`.
        """
        ...

    async def get_egress(self, egress_id: str) -> Egress | None:
        """Give one egress, also one that is over, or None when LiveKit does not know it.

        LiveKit forgets an egress 24 h after its end (livekit-measured §3).

        Args:
            egress_id: LiveKit's id, such as EG_xxxx.
        """
        ...

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        """List the egresses of a room, also those that are over.

        Args:
            room: Name of the room.
        """
        ...

    async def start(self, request: StartRequest) -> Egress:
        """Start a Track Composite egress. Its tracks are not checked: an unknown one fails 32 s later.

        Args:
            request: What to record, how, and where to.

        Raises:
            RoomNotFound: The room does not exist.
            NoEgressCapacity: No worker took it; LiveKit takes about 22 s to say so.
            BadEgressRequest: The request can never work.
            LiveKitError: Any other failure. When `outcome_unknown`, the egress may exist nevertheless.
        """
        ...

    async def stop(self, egress_id: str) -> None:
        """Ask an egress to end. One that is over or unknown counts as stopped.

        Args:
            egress_id: LiveKit's id, such as EG_xxxx.

        Raises:
            EgressWorkerSilent: Its worker does not answer and is probably dead.
            LiveKitError: Any other failure.
        """
        ...

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        """List who is in a room and what they publish, or give None when the room does not exist.

        Args:
            room: Name of the room.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...

"""How many buffers may record: limits in total, of an owner and of a room, first come first served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from replay_operator.api.replaybuffer import ReplayBuffer


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many buffers; None: as many as there are."""

    total: int | None = None
    of_owner: int | None = None
    of_room: int | None = None

    @property
    def none_set(self) -> bool:
        """Whether every buffer is admitted."""
        return self.total is None and self.of_owner is None and self.of_room is None


def refusals(buffers: Iterable[ReplayBuffer], limits: Limits) -> dict[str, str]:
    """Say which buffers must wait, and why: uid to a sentence. Suspended ones take no place.

    The order is that of creation, so a buffer that was admitted stays so whatever comes after it.

    Args:
        buffers: All buffers.
        limits: What the install allows.
    """
    if limits.none_set:
        return {}
    waiting: dict[str, str] = {}
    total, owners, rooms = 0, Counter[str](), Counter[str]()
    for buffer in sorted(buffers, key=lambda b: (b.metadata.creation_timestamp, b.metadata.uid)):
        if buffer.spec.suspend or buffer.metadata.deletion_timestamp is not None:
            continue
        owner, room = buffer.spec.owner, buffer.spec.room
        if limits.total is not None and total >= limits.total:
            reason = f"This install records at most {limits.total} buffers (REPLAY_MAX_BUFFERS)."
        elif limits.of_owner is not None and owner is not None and owners[owner] >= limits.of_owner:
            reason = f"Owner {owner} may have {limits.of_owner} buffers (REPLAY_MAX_BUFFERS_PER_OWNER)."
        elif limits.of_room is not None and rooms[room] >= limits.of_room:
            reason = f"Room {room} may have {limits.of_room} buffers (REPLAY_MAX_BUFFERS_PER_ROOM)."
        else:
            total += 1
            rooms[room] += 1
            if owner is not None:
                owners[owner] += 1
            continue
        waiting[buffer.metadata.uid] = (
            f"{reason} It starts when an older buffer goes: first come, first served."
        )
    return waiting

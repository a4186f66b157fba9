"""Which buffers may record: limits in number and in write rate, first come first served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.capacity import bytes_per_second, window_bytes

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many buffers, and so many bytes a second in all; None: as many as there are.

    `own` holds the owners whose number is another than `of_owner`.
    """

    total: int | None = None
    of_owner: int | None = None
    own: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    of_room: int | None = None
    write_bytes_per_second: int | None = None

    @property
    def none_set(self) -> bool:
        """Whether every buffer is admitted."""
        return self == Limits()


@dataclass(frozen=True, slots=True)
class Admission:
    """Who waits and why, uid to a sentence, in the order of the line; and what the others need.

    `write_bytes_per_second` is what all admitted buffers write when all of them record, `volume_bytes` what
    they fill when all their windows are full, with the windows of suspended buffers.
    """

    waiting: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    write_bytes_per_second: int = 0
    volume_bytes: int = 0


def admit(buffers: Iterable[ReplayBuffer], limits: Limits) -> Admission:
    """Decide who may record. Suspended buffers take no place.

    The order is that of creation, so a buffer that was admitted stays so whatever comes after it. Nobody
    overtakes one that waits for write budget, or many small buffers would keep a large one waiting for ever;
    one that alone needs more than there is holds nobody up.

    Args:
        buffers: All buffers.
        limits: What the install allows.
    """
    waiting: dict[str, str] = {}
    places = _Places(limits)
    volume_bytes = 0
    for buffer in sorted(buffers, key=lambda b: (b.metadata.creation_timestamp, b.metadata.uid)):
        if buffer.metadata.deletion_timestamp is not None:
            continue
        if buffer.spec.suspend:
            volume_bytes += window_bytes(buffer) if buffer.status.window is not None else 0
            continue
        refusal = places.refusal(buffer)
        if refusal is None:
            volume_bytes += window_bytes(buffer)
        else:
            waiting[buffer.metadata.uid] = refusal
    return Admission(MappingProxyType(waiting), places.write_bytes_per_second, volume_bytes)


class _Places:
    """What is taken while one buffer after the other is looked at."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._total = 0
        self._owners, self._rooms = Counter[str](), Counter[str]()
        self._somebody_waits_for_budget = False
        self.write_bytes_per_second = 0

    def refusal(self, buffer: ReplayBuffer) -> str | None:
        """Give the buffer a place, or say why there is none."""
        reason = self._over_number(buffer)
        if reason is not None:
            return f"{reason} It starts when an older buffer goes: first come, first served."
        rate = bytes_per_second(buffer.spec.encoding)
        reason = self._over_budget(rate)
        if reason is not None:
            return reason
        self._total += 1
        self._rooms[buffer.spec.room] += 1
        if buffer.spec.owner is not None:
            self._owners[buffer.spec.owner] += 1
        self.write_bytes_per_second += rate
        return None

    def _over_number(self, buffer: ReplayBuffer) -> str | None:
        owner, room, limits = buffer.spec.owner, buffer.spec.room, self._limits
        if limits.total is not None and self._total >= limits.total:
            return f"This install records at most {limits.total} buffers (REPLAY_MAX_BUFFERS)."
        if owner is not None and (reason := self._over_number_of(owner)) is not None:
            return reason
        if limits.of_room is not None and self._rooms[room] >= limits.of_room:
            return f"Room {room} may have {limits.of_room} buffers (REPLAY_MAX_BUFFERS_PER_ROOM)."
        return None

    def _over_number_of(self, owner: str) -> str | None:
        own = self._limits.own.get(owner)
        limit = self._limits.of_owner if own is None else own
        if limit is None or self._owners[owner] < limit:
            return None
        source = "REPLAY_MAX_BUFFERS_PER_OWNER" if own is None else "the owner's own quota"
        return f"Owner {owner} may have {limit} buffers ({source})."

    def _over_budget(self, rate: int) -> str | None:
        budget, used = self._limits.write_bytes_per_second, self.write_bytes_per_second
        if budget is None:
            return None
        if rate > budget:
            return (
                f"This buffer writes {_megabytes(rate)}, more than the buffer volume's whole budget of "
                f"{_megabytes(budget)} (REPLAY_WRITE_BUDGET_MBPS): lower spec.encoding."
            )
        if not self._somebody_waits_for_budget and used + rate <= budget:
            return None
        self._somebody_waits_for_budget = True
        return (
            f"The buffer volume's write budget is taken: {_megabytes(used)} of {_megabytes(budget)} "
            f"(REPLAY_WRITE_BUDGET_MBPS), and this buffer needs {_megabytes(rate)}. It starts when older "
            "buffers go: first come, first served. Lower the bit rates, or take faster storage and raise the "
            "budget."
        )


def _megabytes(rate: int) -> str:
    return f"{rate / MEGABYTE:.2f} MB/s"

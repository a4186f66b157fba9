"""What captures that are being made hold free of their owners' quotas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture, ResolvedRange
from replay_operator.controller.store import Follower, ObjectStore
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.quotas import HOUR, reservation_bytes


class Reservations:
    """Reads reservations from the captures' status, and remembers what no status says.

    That is: who was admitted a moment ago, what was reserved for a capture whose buffer has gone since, and
    when captures were admitted that are deleted again. A restart loses it; a capture whose buffer is gone
    then holds nothing free.

    Args:
        buffers: All buffers.
        captures: All captures.
        segment_seconds: Of buffers that name no length.
    """

    def __init__(
        self,
        *,
        buffers: ObjectStore[ReplayBuffer],
        captures: ObjectStore[ReplayCapture],
        segment_seconds: int,
    ) -> None:
        self._buffers = buffers
        self._captures = captures
        self._segment_seconds = segment_seconds
        self._held: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        self._deleted: list[tuple[str, datetime]] = []
        captures.follow(Follower(known=self._known, gone=self._gone))

    def needed(self, buffer: ReplayBuffer, wanted: ResolvedRange) -> int:
        """Give what a clip will need.

        Args:
            buffer: Whose clip.
            wanted: Its range.
        """
        seconds = buffer.status.segment_seconds or buffer.spec.segment_seconds or self._segment_seconds
        return reservation_bytes(buffer.spec.encoding, wanted, seconds)

    def hold(self, capture: ReplayCapture, owner: str, count: int) -> None:
        """Reserve before the status says so: nobody else is given the same bytes meanwhile.

        Args:
            capture: Just admitted.
            owner: Whose quota.
            count: Bytes.
        """
        self._owners[capture.metadata.uid] = owner
        self._held[capture.metadata.uid] = count

    def of(self, capture: ReplayCapture) -> int:
        """Give the bytes that are held free for a capture; none when it has finished or was not admitted.

        Args:
            capture: Any.
        """
        uid, source, wanted = capture.metadata.uid, capture.status.source, capture.status.range
        if is_finished(capture) or source is None or wanted is None:
            return 0
        buffer = self._buffers.get(source.buffer_uid)
        if uid not in self._held and buffer is not None:
            needed = self.needed(buffer, wanted)
            if self._captures.get(uid) is None:
                return needed  # it is gone: nothing would ever forget it
            self._held[uid] = needed
        return self._held.get(uid, 0)

    def pending(self, owner: str) -> Mapping[str, int]:
        """Give what is held free for a person's captures, by uid.

        Args:
            owner: The person.
        """
        told = {c.metadata.uid: self.of(c) for c in self._admitted(owner) if not is_finished(c)}
        return told | {uid: self._held[uid] for uid, whose in self._owners.items() if whose == owner}

    def admitted_at(self, owner: str, now: datetime) -> list[datetime]:
        """Give when a person's captures were admitted, as far as that matters to any rate.

        Args:
            owner: The person.
            now: The time.
        """
        since = now - HOUR
        self._deleted = [(whose, moment) for whose, moment in self._deleted if moment > since]
        deleted = [moment for whose, moment in self._deleted if whose == owner]
        told = [c.metadata for c in self._admitted(owner)]
        silent = [
            capture.metadata
            for uid, whose in self._owners.items()
            if whose == owner and (capture := self._captures.get(uid)) and capture.status.range is None
        ]
        return deleted + [meta.creation_timestamp for meta in (*told, *silent)]

    def _admitted(self, owner: str) -> list[ReplayCapture]:
        return [
            c
            for c in self._captures
            if c.status.range is not None and c.status.source is not None and c.status.source.owner == owner
        ]

    def _known(self, capture: ReplayCapture) -> None:
        uid = capture.metadata.uid
        if is_finished(capture):
            self._held.pop(uid, None)
        if is_finished(capture) or capture.status.range is not None:
            self._owners.pop(uid, None)

    def _gone(self, capture: ReplayCapture) -> None:
        uid, source = capture.metadata.uid, capture.status.source
        self._held.pop(uid, None)
        self._owners.pop(uid, None)
        if source is not None and source.owner is not None and capture.status.range is not None:
            self._deleted.append((source.owner, capture.metadata.creation_timestamp))

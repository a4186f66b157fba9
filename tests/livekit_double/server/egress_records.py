"""Egress records: what ListEgress answers. Ended ones are kept, orphaned ones stay as they were."""

from collections.abc import Callable
from dataclasses import dataclass

from livekit.protocol import egress

from tests.livekit_double.segment_paths import SegmentPaths
from tests.livekit_double.server.twirp import WRAPPED, TwirpError


def starting_info(
    request: egress.TrackCompositeEgressRequest,
    *,
    egress_id: str,
    room_id: str,
    paths: SegmentPaths,
    now_ns: int,
) -> egress.EgressInfo:
    """The record of an egress that a worker has just taken.

    Args:
        request: as it came in; it is echoed in every answer.
        egress_id: the new identifier.
        room_id: the room's `RM_` identifier.
        paths: the resolved names.
        now_ns: wall clock in nanoseconds.
    """
    segments = egress.SegmentsInfo(playlist_name=paths.playlist, live_playlist_name=paths.live_playlist)
    return egress.EgressInfo(
        egress_id=egress_id,
        room_id=room_id,
        room_name=request.room_name,
        source_type=egress.EgressSourceType.EGRESS_SOURCE_TYPE_SDK,
        status=egress.EgressStatus.EGRESS_STARTING,
        started_at=now_ns,
        updated_at=now_ns,
        track_composite=request,
        segments=segments,
        segment_results=[segments],
    )


def is_over(info: egress.EgressInfo) -> bool:
    """Whether the egress has reached an end state."""
    return info.status >= egress.EgressStatus.EGRESS_COMPLETE


def is_killed(info: egress.EgressInfo) -> bool:
    """Whether the egress ended because its handler process was killed."""
    return is_over(info) and info.error == "signal: killed"


@dataclass(slots=True)
class _Record:
    info: egress.EgressInfo
    worker_id: str


class EgressRecords:
    """The records in the order in which the egresses were started."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._listeners: list[Callable[[egress.EgressInfo, bool], None]] = []

    def listen(self, listener: Callable[[egress.EgressInfo, bool], None]) -> None:
        """Calls `listener` with every new (True) or changed (False) record."""
        self._listeners.append(listener)

    def add(self, info: egress.EgressInfo, worker_id: str) -> None:
        """Registers an egress that a worker has taken."""
        self._records[info.egress_id] = _Record(info, worker_id)
        self._tell(info, new=True)

    def update(self, info: egress.EgressInfo) -> None:
        """Takes over what a worker reports. Nothing changes an ended record."""
        record = self._records.get(info.egress_id)
        if record is None or is_over(record.info):
            return
        record.info = info
        self._tell(info, new=False)

    def get(self, egress_id: str) -> egress.EgressInfo:
        """One record.

        Raises:
            TwirpError: `not_found`.
        """
        if egress_id not in self._records:
            raise TwirpError("not_found", f"{WRAPPED}egress does not exist")
        return self._records[egress_id].info

    def worker_of(self, egress_id: str) -> str:
        """The id of the worker that took the egress; empty if the egress is unknown."""
        record = self._records.get(egress_id)
        return record.worker_id if record else ""

    def running_on(self, worker_id: str) -> list[egress.EgressInfo]:
        """The egresses of one worker that have not ended."""
        return [
            each.info
            for each in self._records.values()
            if each.worker_id == worker_id and not is_over(each.info)
        ]

    def select(
        self, *, room_name: str = "", egress_id: str = "", active: bool = False
    ) -> list[egress.EgressInfo]:
        """The records that ListEgress answers with.

        Args:
            room_name: only of this room.
            egress_id: only this one.
            active: only STARTING, ACTIVE and ENDING.

        Raises:
            TwirpError: `not_found` if `egress_id` is given and unknown.
        """
        infos = [self.get(egress_id)] if egress_id else [each.info for each in self._records.values()]
        return [
            info
            for info in infos
            if (not room_name or info.room_name == room_name) and not (active and is_over(info))
        ]

    def _tell(self, info: egress.EgressInfo, *, new: bool) -> None:
        for listener in self._listeners:
            listener(info, new)

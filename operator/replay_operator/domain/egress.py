"""What LiveKit says, in the words of the domain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from replay_operator.api.replaybuffer import Encoding


class EgressState(StrEnum):
    """LiveKit's EgressStatus."""

    STARTING = "EGRESS_STARTING"
    ACTIVE = "EGRESS_ACTIVE"
    ENDING = "EGRESS_ENDING"
    COMPLETE = "EGRESS_COMPLETE"
    FAILED = "EGRESS_FAILED"
    ABORTED = "EGRESS_ABORTED"
    LIMIT_REACHED = "EGRESS_LIMIT_REACHED"

    @property
    def is_over(self) -> bool:
        """Whether nothing will be written any more."""
        return self not in (EgressState.STARTING, EgressState.ACTIVE, EgressState.ENDING)


@dataclass(frozen=True, slots=True)
class Egress:
    """One Track Composite egress.

    `media_started_at_ns` is `segments.started_at`: the capture time of the frame at PTS 3600 s, to the
    millisecond; 0 until the egress is active. `started_at_ns` is when the request came.
    """

    id: str
    room: str
    state: EgressState
    filename_prefix: str
    started_at_ns: int = 0
    media_started_at_ns: int = 0
    ended_at_ns: int = 0
    updated_at_ns: int = 0
    video_track: str | None = None
    audio_track: str | None = None
    details: str = ""
    error: str = ""
    error_code: int = 0

    @property
    def media_started_at(self) -> datetime | None:
        """Capture time of the first frame, or None while it is not known."""
        return ns_to_datetime(self.media_started_at_ns) if self.media_started_at_ns else None


def ns_to_datetime(ns: int) -> datetime:
    """Turn nanoseconds since 1970 into a time, exact to the microsecond (no float on the way)."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000)


def datetime_to_ns(moment: datetime) -> int:
    """Turn a time into nanoseconds since 1970, exact to the microsecond (no float on the way)."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


class TrackKind(StrEnum):
    """LiveKit's TrackType, as far as it can be recorded."""

    VIDEO = "VIDEO"
    AUDIO = "AUDIO"


@dataclass(frozen=True, slots=True)
class PublishedTrack:
    """A track that a participant publishes now. `source` is LiveKit's TrackSource, such as SCREEN_SHARE."""

    sid: str
    kind: TrackKind
    source: str
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a room."""

    identity: str
    tracks: tuple[PublishedTrack, ...]


@dataclass(frozen=True, slots=True)
class RecordedPair:
    """The tracks that one egress records: one of each kind at most, at least one."""

    video: str | None
    audio: str | None


def pair_of(egress: Egress) -> RecordedPair:
    """Give the tracks that an egress was asked to record."""
    return RecordedPair(video=egress.video_track, audio=egress.audio_track)


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Everything that StartTrackCompositeEgress needs."""

    room: str
    tracks: RecordedPair
    filename_prefix: str
    segment_seconds: int
    encoding: Encoding

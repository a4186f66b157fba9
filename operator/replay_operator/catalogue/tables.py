"""The tables of the catalogue. `migrations/` makes them; a test holds the two against each other.

Each table has a frozen record with the same columns: a record is what the pure code makes and compares, the
table is where it goes. Nobody makes objects of the tables.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Enum, Index
from sqlmodel import Field, SQLModel

from replay_operator.api.replaycapture import DeletionPolicy
from replay_operator.catalogue.instant import UtcInstant


def words(kind: type[StrEnum]) -> Enum:
    """Give the column type for a closed list of words: plain text, so that a new word needs no migration.

    Args:
        kind: The list.
    """
    return Enum(
        kind, native_enum=False, create_constraint=False, length=32, values_callable=lambda e: [*map(str, e)]
    )


class SessionStatus(StrEnum):
    """How far a buffer's life is."""

    ACTIVE = "Active"
    PAUSED = "Paused"
    ENDED = "Ended"


class ClipStatus(StrEnum):
    """What there is of a clip."""

    PENDING = "Pending"
    READY = "Ready"
    FAILED = "Failed"
    DELETED = "Deleted"


class FileKind(StrEnum):
    """What a file of a clip is."""

    VIDEO = "Video"
    THUMBNAIL = "Thumbnail"


class SessionRecord(SQLModel, frozen=True):
    """The life of one ReplayBuffer.

    `reason` is the state that its conditions name, or `Deleted`. `recording_since` is the first frame of the
    run that records now: it moves on with each run.
    """

    uid: str = Field(primary_key=True)
    namespace: str
    name: str
    owner: str | None
    room: str
    participant: str | None
    status: SessionStatus = Field(sa_type=words(SessionStatus))
    reason: str
    egress_id: str | None
    video_track: str | None
    audio_track: str | None
    path: str | None
    window_seconds: int
    created_at: datetime = Field(sa_type=UtcInstant)
    recording_since: datetime | None = Field(sa_type=UtcInstant)
    ended_at: datetime | None = Field(sa_type=UtcInstant)


class ClipRecord(SQLModel, frozen=True):
    """One ReplayCapture and the clip that it made.

    `quota_bytes` is what it takes of its owner's quota: what was reserved while the clip is being made, the
    bytes of its files when it is ready, nothing when there is no clip on the archive volume.
    """

    uid: str = Field(primary_key=True)
    namespace: str
    name: str
    owner: str | None
    room: str | None
    buffer_uid: str | None
    title: str | None
    status: ClipStatus = Field(sa_type=words(ClipStatus))
    reason: str
    deletion_policy: DeletionPolicy = Field(sa_type=words(DeletionPolicy))
    range_start: datetime | None = Field(sa_type=UtcInstant)
    range_end: datetime | None = Field(sa_type=UtcInstant)
    clip_start: datetime | None = Field(sa_type=UtcInstant)
    clip_end: datetime | None = Field(sa_type=UtcInstant)
    milliseconds: int | None
    quota_bytes: int = Field(sa_type=BigInteger)
    created_at: datetime = Field(sa_type=UtcInstant)
    finished_at: datetime | None = Field(sa_type=UtcInstant)


class FileRecord(SQLModel, frozen=True):
    """One file of a clip on the archive volume. `bytes` is None where nobody has said how large it is.

    `url` is its name in object storage, if it is there too, or there only.
    """

    clip_uid: str = Field(primary_key=True, foreign_key="replay_clip.uid", ondelete="CASCADE")
    kind: FileKind = Field(primary_key=True, sa_type=words(FileKind))
    path: str
    bytes: int | None = Field(sa_type=BigInteger)
    sha256: str | None
    url: str | None = None


class QuotaRecord(SQLModel, frozen=True):
    """What one owner may have instead of the install's defaults. None: the default."""

    owner: str = Field(primary_key=True)
    archive_bytes: int | None = Field(sa_type=BigInteger)
    buffers: int | None
    captures_per_minute: int | None
    captures_per_hour: int | None
    updated_at: datetime = Field(sa_type=UtcInstant)


class BufferSession(SessionRecord, table=True, frozen=True):
    """Table of the sessions."""

    __tablename__ = "buffer_session"
    __table_args__ = (
        Index("ix_buffer_session_owner_status", "owner", "status"),
        Index("ix_buffer_session_room_status", "room", "status"),
        Index("ix_buffer_session_status_ended_at", "status", "ended_at"),
        Index("ix_buffer_session_created_at", "created_at", "uid"),
        Index("ix_buffer_session_owner_created_at", "owner", "created_at", "uid"),
        Index("ix_buffer_session_room_created_at", "room", "created_at", "uid"),
    )


class ReplayClip(ClipRecord, table=True, frozen=True):
    """Table of the clips. The uid in indexes: creation times are whole seconds, and pages need an order."""

    __tablename__ = "replay_clip"
    __table_args__ = (
        Index("ix_replay_clip_created_at", "created_at", "uid"),
        Index("ix_replay_clip_owner_created_at", "owner", "created_at", "uid"),
        Index("ix_replay_clip_room_created_at", "room", "created_at", "uid"),
        Index("ix_replay_clip_status_finished_at", "status", "finished_at", "uid"),
        Index("ix_replay_clip_status_deletion_policy", "status", "deletion_policy"),
    )


class ClipFile(FileRecord, table=True, frozen=True):
    """Table of the clips' files."""

    __tablename__ = "clip_file"


class OwnerQuota(QuotaRecord, table=True, frozen=True):
    """Table of the owners who may have more or less than the defaults."""

    __tablename__ = "owner_quota"

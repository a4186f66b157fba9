"""What the catalogue tells programs: the JSON of the read API and of `catalogue ... -o json`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from replay_operator.api.model import ApiModel
from replay_operator.catalogue.clips import ClipPage
from replay_operator.catalogue.listing import Place, write_cursor
from replay_operator.catalogue.sessions import SessionPage
from replay_operator.catalogue.tables import ClipStatus, FileKind, SessionStatus
from replay_operator.catalogue.usage import OwnerUsage
from replay_operator.domain.quotas import QuotaLimits

NextCursor = Annotated[
    str | None, Field(description="Give it as `cursor` for the next page. Absent: this is the last one.")
]


class FileAnswer(ApiModel):
    """A file of a clip."""

    kind: FileKind
    path: Annotated[str, Field(description="Under the archive volume.")]
    bytes: Annotated[int | None, Field(description="Absent where nobody has said.")] = None
    url: Annotated[
        str | None, Field(description="Its name in object storage, s3://bucket/key. Absent: it is not there.")
    ] = None


class ClipAnswer(ApiModel):
    """A ReplayCapture and what it made."""

    uid: Annotated[str, Field(description="Of the ReplayCapture.")]
    namespace: str
    name: str
    owner: str | None = None
    room: str | None = None
    title: str | None = None
    status: ClipStatus
    reason: Annotated[str, Field(description="Of the condition Ready when it was last seen, or Deleted.")]
    milliseconds: Annotated[int | None, Field(description="How long the clip is; absent until ready.")] = None
    clip_start: Annotated[datetime | None, Field(description="When its first frame was recorded.")] = None
    created_at: Annotated[datetime, Field(description="When the ReplayCapture was made.")]
    files: tuple[FileAnswer, ...]


class ClipListAnswer(ApiModel):
    """A page of clips, newest first."""

    clips: tuple[ClipAnswer, ...]
    next: NextCursor = None


class SessionAnswer(ApiModel):
    """The life of a ReplayBuffer."""

    uid: Annotated[str, Field(description="Of the ReplayBuffer.")]
    namespace: str
    name: str
    owner: str | None = None
    room: str
    participant: Annotated[str | None, Field(description="Absent where tracks were named.")] = None
    status: SessionStatus
    reason: Annotated[str, Field(description="Of the condition Ready when it was last seen, or Deleted.")]
    window_seconds: int
    created_at: datetime
    recording_since: Annotated[datetime | None, Field(description="First frame of the run now.")] = None
    ended_at: datetime | None = None


class SessionListAnswer(ApiModel):
    """A page of sessions, newest first."""

    sessions: tuple[SessionAnswer, ...]
    next: NextCursor = None


class UseAnswer(ApiModel):
    """What is used of one limit."""

    used: int
    limit: Annotated[int | None, Field(description="Absent: as much as there is.")] = None
    own: Annotated[bool, Field(description="The limit is the owner's own, not the install's default.")]


class QuotaAnswer(ApiModel):
    """What an owner uses and may have, as the catalogue knows it."""

    owner: str
    archive_bytes: Annotated[UseAnswer, Field(description="With what is reserved.")]
    reserved_bytes: Annotated[int, Field(description="Held free for clips that are being made.")]
    buffers: UseAnswer
    captures_per_minute: Annotated[UseAnswer, Field(description="Used: in the last minute.")]
    captures_per_hour: Annotated[UseAnswer, Field(description="Used: in the last hour.")]


class QuotaListAnswer(ApiModel):
    """Quotas of several owners, by name."""

    quotas: tuple[QuotaAnswer, ...]
    next: NextCursor = None


def clip_list(page: ClipPage) -> ClipListAnswer:
    """Give a page of clips as it is told.

    Args:
        page: From the catalogue.
    """
    clips = tuple(ClipAnswer.model_validate(clip, from_attributes=True) for clip in page.clips)
    return ClipListAnswer(clips=clips, next=_cursor(page.next))


def session_list(page: SessionPage) -> SessionListAnswer:
    """Give a page of sessions as it is told.

    Args:
        page: From the catalogue.
    """
    sessions = tuple(SessionAnswer.model_validate(one, from_attributes=True) for one in page.sessions)
    return SessionListAnswer(sessions=sessions, next=_cursor(page.next))


def quota_answer(usage: OwnerUsage, defaults: QuotaLimits) -> QuotaAnswer:
    """Give what an owner uses and may have, as it is told.

    Args:
        usage: From the catalogue.
        defaults: Limits of the install.
    """
    own, limits = usage.own_limits, usage.own_limits.or_else(defaults)

    def use(used: int, name: str) -> UseAnswer:
        return UseAnswer(used=used, limit=getattr(limits, name), own=getattr(own, name) is not None)

    archive = usage.archive
    return QuotaAnswer(
        owner=usage.owner,
        archive_bytes=use(archive.archived_bytes + archive.reserved_bytes, "archive_bytes"),
        reserved_bytes=archive.reserved_bytes,
        buffers=use(usage.buffers, "buffers"),
        captures_per_minute=use(usage.captures_last_minute, "captures_per_minute"),
        captures_per_hour=use(usage.captures_last_hour, "captures_per_hour"),
    )


def _cursor(place: Place | None) -> str | None:
    return None if place is None else write_cursor(place)

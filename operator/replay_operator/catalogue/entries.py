"""From the resources to what the catalogue keeps of them. Pure: the same resource gives the same entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import SQLModel

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import CaptureSource, DeletionPolicy, Output, ReplayCapture
from replay_operator.catalogue.tables import (
    ClipRecord,
    ClipStatus,
    FileKind,
    FileRecord,
    SessionRecord,
    SessionStatus,
)
from replay_operator.domain.capture_state import finished_at
from replay_operator.domain.quotas import archived_bytes
from replay_operator.domain.status_contract import FINAL, READY, BufferState, is_true

DELETED = "Deleted"
"""Reason of a session whose ReplayBuffer is gone, and of a clip that went with its ReplayCapture."""

UNSEEN = "Unseen"
"""Reason before the operator has written a first status."""

_PAUSED = frozenset({BufferState.SUSPENDED, BufferState.SOURCE_GONE, BufferState.REFUSED})
"""Nothing is recorded, and nothing is tried until the user or the participant changes something."""


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A session."""

    session: SessionRecord

    @property
    def uid(self) -> str:
        """Uid of the ReplayBuffer."""
        return self.session.uid

    @property
    def name(self) -> str:
        """The ReplayBuffer, for people."""
        return f"ReplayBuffer {self.session.namespace}/{self.session.name}"

    @property
    def archived_bytes(self) -> int:
        """What it takes of the archive: nothing."""
        return 0

    @property
    def fingerprint(self) -> int:
        """Another one for everything else that may be said of the session, within this process."""
        return _fingerprint((self.session,))


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A clip with all its files: what is not here is no file of it any more."""

    clip: ClipRecord
    files: tuple[FileRecord, ...]

    @property
    def uid(self) -> str:
        """Uid of the ReplayCapture."""
        return self.clip.uid

    @property
    def name(self) -> str:
        """The ReplayCapture, for people."""
        return f"ReplayCapture {self.clip.namespace}/{self.clip.name}"

    @property
    def archived_bytes(self) -> int:
        """What it takes of the archive, as a finished clip."""
        return self.clip.quota_bytes if self.clip.status is ClipStatus.READY else 0

    @property
    def fingerprint(self) -> int:
        """Another one for everything else that may be said of the clip, within this process."""
        return _fingerprint((self.clip, *self.files))


def _fingerprint(records: Iterable[SQLModel]) -> int:
    return hash(tuple(tuple(record.model_dump().values()) for record in records))


def session_entry(buffer: ReplayBuffer) -> SessionEntry:
    """Give what the catalogue keeps of a buffer.

    Args:
        buffer: The resource as it is.
    """
    meta, spec, status = buffer.metadata, buffer.spec, buffer.status
    ready = find_condition(status.conditions, READY)
    reason = UNSEEN if ready is None else ready.reason
    state = _session_status(reason)
    return SessionEntry(
        SessionRecord(
            uid=meta.uid,
            namespace=meta.namespace,
            name=meta.name,
            owner=spec.owner,
            room=spec.room,
            participant=spec.source.participant.identity if spec.source.participant else None,
            status=state,
            reason=reason,
            egress_id=status.egress.id if status.egress else None,
            video_track=status.tracks.video if status.tracks else None,
            audio_track=status.tracks.audio if status.tracks else None,
            path=status.storage.path if status.storage else None,
            window_seconds=spec.window_seconds,
            created_at=meta.creation_timestamp,
            recording_since=status.egress.started_at if status.egress else None,
            ended_at=_ended_at(buffer) if state is SessionStatus.ENDED else None,
        )
    )


def closed(entry: SessionEntry, now: datetime) -> SessionEntry:
    """Give the entry of a session whose buffer is gone. One that had ended keeps its end and its reason.

    Args:
        entry: As it was last.
        now: When the buffer went.
    """
    if entry.session.status is SessionStatus.ENDED:
        return entry
    return SessionEntry(
        entry.session.model_copy(
            update={
                "status": SessionStatus.ENDED,
                "reason": DELETED,
                "egress_id": None,
                "recording_since": None,
                "ended_at": now,
            }
        )
    )


def clip_entry(capture: ReplayCapture, *, reserved_bytes: int = 0) -> ClipEntry:
    """Give what the catalogue keeps of a capture.

    Args:
        capture: The resource as it is.
        reserved_bytes: What its owner's quota holds free for it until it has finished.
    """
    meta, status = capture.metadata, capture.status
    source = status.source or CaptureSource(buffer_uid="", path="")
    files = _files(capture)
    state = _clip_status(capture)
    ready = find_condition(status.conditions, READY)
    clip = status.clip if state is ClipStatus.READY else None
    return ClipEntry(
        ClipRecord(
            uid=meta.uid,
            namespace=meta.namespace,
            name=meta.name,
            owner=source.owner,
            room=source.room,
            buffer_uid=source.buffer_uid or None,
            title=_storable((capture.spec.output or Output()).title),
            status=state,
            reason=UNSEEN if ready is None else ready.reason,
            deletion_policy=capture.spec.deletion_policy,
            range_start=status.range.start if status.range else None,
            range_end=status.range.end if status.range else None,
            clip_start=clip.start if clip else None,
            clip_end=clip.end if clip else None,
            milliseconds=clip.milliseconds if clip else None,
            quota_bytes=_quota_bytes(capture, state, reserved_bytes),
            created_at=meta.creation_timestamp,
            finished_at=finished_at(capture),
        ),
        files,
    )


def without_resource(entry: ClipEntry, now: datetime) -> ClipEntry:
    """Give the entry of a clip whose capture is gone.

    A clip that was ready stays, unless its deletionPolicy took it along. One that was not will never be.

    Args:
        entry: As it was last.
        now: When the capture went.
    """
    clip = entry.clip
    match clip.status:
        case ClipStatus.READY if clip.deletion_policy is DeletionPolicy.DELETE:
            gone = {"status": ClipStatus.DELETED, "reason": DELETED, "quota_bytes": 0}
            return ClipEntry(clip.model_copy(update=gone), ())
        case ClipStatus.PENDING:
            given_up = {"status": ClipStatus.FAILED, "reason": DELETED, "quota_bytes": 0, "finished_at": now}
            return replace(entry, clip=clip.model_copy(update=given_up))
        case _:
            return entry


def _session_status(reason: str) -> SessionStatus:
    if reason in FINAL:
        return SessionStatus.ENDED
    return SessionStatus.PAUSED if reason in _PAUSED else SessionStatus.ACTIVE


def _ended_at(buffer: ReplayBuffer) -> datetime:
    """Give the newest recorded instant, or, where there is none, when the status said that it is over."""
    window = buffer.status.window
    if window is not None and window.end is not None:
        return window.end
    return max(c.last_transition_time for c in buffer.status.conditions)


def _clip_status(capture: ReplayCapture) -> ClipStatus:
    if finished_at(capture) is None:
        return ClipStatus.PENDING
    return ClipStatus.READY if is_true(capture.status.conditions, READY) else ClipStatus.FAILED


def _files(capture: ReplayCapture) -> tuple[FileRecord, ...]:
    clip, uid = capture.status.clip, capture.metadata.uid
    if clip is None or _clip_status(capture) is not ClipStatus.READY:
        return ()
    video = FileRecord(
        clip_uid=uid, kind=FileKind.VIDEO, path=clip.path, bytes=clip.bytes, sha256=clip.sha256, url=clip.url
    )
    if clip.thumbnail is None:
        return (video,)
    picture = FileRecord(clip_uid=uid, kind=FileKind.THUMBNAIL, path=clip.thumbnail, bytes=None, sha256=None)
    return (video, picture)


def _quota_bytes(capture: ReplayCapture, state: ClipStatus, reserved_bytes: int) -> int:
    match state:
        case ClipStatus.PENDING:
            return reserved_bytes
        case ClipStatus.READY:
            return archived_bytes(capture)
        case _:
            return 0


def _storable(title: str | None) -> str | None:
    """Leave out NUL: JSON may carry it, and Postgres refuses the whole row for it."""
    return None if title is None else title.replace("\0", "")

"""Entries for tests, with everything filled in that a test does not care about."""

from __future__ import annotations

from datetime import datetime

from replay_operator.api.replaycapture import DeletionPolicy
from replay_operator.catalogue.entries import ClipEntry, SessionEntry
from replay_operator.catalogue.tables import (
    ClipRecord,
    ClipStatus,
    FileKind,
    FileRecord,
    SessionRecord,
    SessionStatus,
)
from tests.builders import NAMESPACE, NOW


def session(
    uid: str,
    *,
    owner: str | None = "user-42",
    room: str = "standup",
    namespace: str = NAMESPACE,
    status: SessionStatus = SessionStatus.ACTIVE,
    reason: str | None = None,
    created_at: datetime = NOW,
    ended_at: datetime | None = None,
) -> SessionEntry:
    return SessionEntry(
        SessionRecord(
            uid=uid,
            namespace=namespace,
            name=f"buffer-{uid}",
            owner=owner,
            room=room,
            participant="alice",
            status=status,
            reason=reason or ("Recording" if ended_at is None else "Ended"),
            egress_id="EG_one",
            video_track="TR_VC1",
            audio_track=None,
            path=f"{namespace}/{uid}",
            window_seconds=600,
            created_at=created_at,
            recording_since=NOW,
            ended_at=ended_at,
        )
    )


def clip(
    uid: str,
    *,
    owner: str | None = "user-42",
    room: str = "standup",
    reason: str = "ClipReady",
    created_at: datetime = NOW,
    finished_at: datetime = NOW,
    status: ClipStatus = ClipStatus.READY,
    quota_bytes: int = 1000,
    kinds: tuple[FileKind, ...] = (FileKind.VIDEO, FileKind.THUMBNAIL),
    title: str | None = "Goal!",
    policy: DeletionPolicy = DeletionPolicy.RETAIN,
    url: str | None = None,
) -> ClipEntry:
    record = ClipRecord(
        uid=uid,
        namespace=NAMESPACE,
        name=f"clip-{uid}",
        owner=owner,
        room=room,
        buffer_uid="b1",
        title=title,
        status=status,
        reason=reason,
        deletion_policy=policy,
        range_start=NOW,
        range_end=NOW,
        clip_start=NOW,
        clip_end=NOW,
        milliseconds=60_000,
        quota_bytes=quota_bytes,
        created_at=created_at,
        finished_at=finished_at,
    )
    files = tuple(
        FileRecord(clip_uid=uid, kind=kind, path=f"{uid}/{kind}", bytes=quota_bytes, sha256=None, url=url)
        for kind in kinds
    )
    return ClipEntry(record, files)

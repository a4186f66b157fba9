"""Every question that is asked of the catalogue, and the index that answers it."""

from __future__ import annotations

from sqlalchemy import Select

from replay_operator.catalogue.clips import page_of_clips, tied_to_resources
from replay_operator.catalogue.kept_clips import finished_before, oldest_of_owner
from replay_operator.catalogue.listing import Chosen, Place
from replay_operator.catalogue.owners import archive_use
from replay_operator.catalogue.sessions import (
    active_of_owner,
    active_of_room,
    ended_before,
    open_in,
    page_of_sessions,
)
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.catalogue.usage import buffers_in_use, captures_since, owners_with_clips
from replay_operator.domain.quotas import HOUR
from tests.builders import NAMESPACE, NOW, at
from tests.catalogue.bulk import HEAVY_OWNER, LIGHT_OWNER, ROOM

_LATER = Place(at(-100_000), "7fffffff")

QUESTIONS: dict[str, tuple[Select[*tuple[object, ...]], str]] = {
    "clips of an owner": (
        page_of_clips(Chosen(owner=HEAVY_OWNER), 51, None),
        "ix_replay_clip_owner_created_at",
    ),
    "clips of an owner, a later page": (
        page_of_clips(Chosen(owner=HEAVY_OWNER), 51, _LATER),
        "ix_replay_clip_owner_created_at",
    ),
    "clips of an owner that are ready": (
        page_of_clips(Chosen(owner=LIGHT_OWNER, statuses=(ClipStatus.READY,)), 51, None),
        "ix_replay_clip_owner_created_at",
    ),
    "clips of a room": (page_of_clips(Chosen(room=ROOM), 51, None), "ix_replay_clip_room_created_at"),
    "all clips": (page_of_clips(Chosen(), 51, None), "ix_replay_clip_created_at"),
    "all clips, a later page": (page_of_clips(Chosen(), 51, _LATER), "ix_replay_clip_created_at"),
    "clips tied to resources": (tied_to_resources(NAMESPACE), "ix_replay_clip_status_deletion_policy"),
    "sessions of an owner": (
        page_of_sessions(Chosen(owner=HEAVY_OWNER), 51, None),
        "ix_buffer_session_owner_created_at",
    ),
    "sessions of a room": (
        page_of_sessions(Chosen(room=ROOM, statuses=(SessionStatus.ENDED,)), 51, None),
        "ix_buffer_session_room_",  # by status or by time: a room has few rows, and Postgres takes either
    ),
    "all sessions": (page_of_sessions(Chosen(), 51, _LATER), "ix_buffer_session_created_at"),
    "active sessions of an owner": (active_of_owner(HEAVY_OWNER), "ix_buffer_session_owner_status"),
    "active sessions of a room": (active_of_room(ROOM), "ix_buffer_session_room_"),  # the same
    "sessions that ended": (ended_before(NOW, 100), "ix_buffer_session_status_ended_at"),
    "open sessions": (open_in(NAMESPACE), "ix_buffer_session_status_ended_at"),
    "archive of an owner": (archive_use(HEAVY_OWNER), "ix_replay_clip_owner_created_at"),
    "buffers of an owner": (buffers_in_use(HEAVY_OWNER), "ix_buffer_session_owner_status"),
    "finished clips, oldest first": (
        finished_before(NAMESPACE, at(-12_000_000)),
        "ix_replay_clip_status_finished_at",
    ),
    "clips of an owner, oldest first": (
        oldest_of_owner(NAMESPACE, HEAVY_OWNER),
        "ix_replay_clip_owner_created_at",
    ),
    "captures of the last hour": (captures_since(HEAVY_OWNER, NOW, HOUR), "ix_replay_clip_owner_created_at"),
    "owners with clips": (owners_with_clips("user-3", 50), "ix_replay_clip_owner_created_at"),
}

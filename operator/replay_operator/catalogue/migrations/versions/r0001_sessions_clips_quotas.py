"""Sessions, clips with their files, and quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from replay_operator.catalogue.instant import UtcInstant
from replay_operator.catalogue.schema import refuse_downgrade

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _sessions()
    _clips()
    op.create_table(
        "owner_quota",
        sa.Column("owner", sa.String(), primary_key=True),
        sa.Column("archive_bytes", sa.BigInteger()),
        sa.Column("buffers", sa.Integer()),
        sa.Column("captures_per_minute", sa.Integer()),
        sa.Column("captures_per_hour", sa.Integer()),
        sa.Column("updated_at", UtcInstant(), nullable=False),
    )


def _sessions() -> None:
    op.create_table(
        "buffer_session",
        sa.Column("uid", sa.String(), primary_key=True),
        sa.Column("namespace", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("room", sa.String(), nullable=False),
        sa.Column("participant", sa.String()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("egress_id", sa.String()),
        sa.Column("video_track", sa.String()),
        sa.Column("audio_track", sa.String()),
        sa.Column("path", sa.String()),
        sa.Column("window_seconds", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("recording_since", UtcInstant()),
        sa.Column("ended_at", UtcInstant()),
    )
    op.create_index("ix_buffer_session_owner_status", "buffer_session", ["owner", "status"])
    op.create_index("ix_buffer_session_room_status", "buffer_session", ["room", "status"])
    op.create_index("ix_buffer_session_status_ended_at", "buffer_session", ["status", "ended_at"])


def _clips() -> None:
    op.create_table(
        "replay_clip",
        sa.Column("uid", sa.String(), primary_key=True),
        sa.Column("namespace", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("room", sa.String()),
        sa.Column("buffer_uid", sa.String()),
        sa.Column("title", sa.String()),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("deletion_policy", sa.String(32), nullable=False),
        sa.Column("range_start", UtcInstant()),
        sa.Column("range_end", UtcInstant()),
        sa.Column("clip_start", UtcInstant()),
        sa.Column("clip_end", UtcInstant()),
        sa.Column("milliseconds", sa.Integer()),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("finished_at", UtcInstant()),
    )
    op.create_index("ix_replay_clip_owner_created_at", "replay_clip", ["owner", "created_at", "uid"])
    op.create_index("ix_replay_clip_status_finished_at", "replay_clip", ["status", "finished_at", "uid"])
    op.create_index("ix_replay_clip_status_deletion_policy", "replay_clip", ["status", "deletion_policy"])
    op.create_table(
        "clip_file",
        sa.Column(
            "clip_uid", sa.String(), sa.ForeignKey("replay_clip.uid", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger()),
        sa.Column("sha256", sa.String()),
    )


def downgrade() -> None:
    """Refuse."""
    refuse_downgrade(revision)

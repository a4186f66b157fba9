"""Lists of sessions and clips, newest first: of all, of an owner, of a room."""

from __future__ import annotations

from alembic import op

from replay_operator.catalogue.schema import refuse_downgrade

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("ix_buffer_session_created_at", "buffer_session", ["created_at", "uid"])
    op.create_index("ix_buffer_session_owner_created_at", "buffer_session", ["owner", "created_at", "uid"])
    op.create_index("ix_buffer_session_room_created_at", "buffer_session", ["room", "created_at", "uid"])
    op.create_index("ix_replay_clip_created_at", "replay_clip", ["created_at", "uid"])
    op.create_index("ix_replay_clip_room_created_at", "replay_clip", ["room", "created_at", "uid"])


def downgrade() -> None:
    """Refuse."""
    refuse_downgrade(revision)

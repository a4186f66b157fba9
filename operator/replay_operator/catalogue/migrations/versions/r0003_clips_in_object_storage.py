"""Where else a clip is: its name in object storage."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from replay_operator.catalogue.schema import refuse_downgrade

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("clip_file", sa.Column("url", sa.String()))


def downgrade() -> None:
    """Refuse."""
    refuse_downgrade(revision)

"""The migrations in this package, by alembic. Imported only where a schema has to be changed."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def alembic_config(connection: Connection | None = None) -> Config:
    """Give alembic's configuration for the migrations in this package.

    Args:
        connection: What to migrate, in a transaction already.
    """
    config = Config()
    config.set_main_option("script_location", "replay_operator.catalogue:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring a schema to this version's.

    Args:
        connection: In a transaction already.
    """
    command.upgrade(alembic_config(connection), "head")

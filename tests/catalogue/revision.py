"""Makes a catalogue look like another version's."""

from __future__ import annotations

from sqlalchemy import text

from replay_operator.catalogue.database import Database


async def set_revision(database: Database, revision: str) -> None:
    """Say that the schema is of a revision, whatever it is."""
    async with database.writing() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :number"), {"number": revision}
        )

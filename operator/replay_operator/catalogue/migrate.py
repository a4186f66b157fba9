"""Bringing the schema to this version's, at start, by one process at a time."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import SchemaMissingError
from replay_operator.catalogue.schema import REVISIONS, SchemaStep, schema_step

_LOCK = 0x5265706C6179
"""Postgres's advisory locks are numbers; this one spells `Replay`."""

_LOCK_SECONDS = 60


async def bring_up_to_date(database: Database) -> SchemaStep:
    """Make the tables, or change them to what this version needs. An up-to-date schema costs no write.

    Args:
        database: Where.

    Returns:
        What was needed.

    Raises:
        SchemaRefusedError: A newer version has been at it.
        CatalogueAwayError: The database does not answer, or another process holds the lock for too long.
    """
    async with database.reading() as connection:
        if schema_step(await connection.run_sync(_found), REVISIONS) is SchemaStep.NOTHING:
            return SchemaStep.NOTHING
    # On SQLite the writing transaction is the lock.
    async with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        # Somebody else may have done it while this process waited for the lock.
        step = schema_step(await connection.run_sync(_found), REVISIONS)
        if step is SchemaStep.UPGRADE:
            await connection.run_sync(_upgrade)
        return step


async def require_schema(database: Database) -> None:
    """Let nobody read from a schema that is not this version's. Nothing is changed.

    Args:
        database: Where.

    Raises:
        SchemaMissingError: There is no schema, or an older one.
        SchemaRefusedError: A newer version has been at it.
        CatalogueAwayError: The database does not answer.
    """
    async with database.reading() as connection:
        step = schema_step(await connection.run_sync(_found), REVISIONS)
    if step is not SchemaStep.NOTHING:
        raise SchemaMissingError(
            "the catalogue's schema is older than this version, or there is none yet: start the operator of "
            "this version, which brings it up to date"
        )


def _found(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    # alembic takes 8 MiB, and a process whose schema is up to date has no use for it.
    from replay_operator.catalogue.upgrade import upgrade  # noqa: PLC0415

    upgrade(connection)

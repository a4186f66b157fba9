"""What reaches the database: the statements of a block of code, and how the engine would carry one out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, event
from sqlalchemy.ext.asyncio import AsyncConnection

from replay_operator.catalogue.database import Database


@contextmanager
def recorded(database: Database) -> Iterator[list[str]]:
    """The statements of the block, without those that begin and end a transaction."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, _p: Any, _context: Any, _many: Any) -> None:
        if not statement.startswith("BEGIN"):
            statements.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def plan(connection: AsyncConnection, query: Select[*tuple[object, ...]]) -> list[str]:
    """The steps that the engine says it would take, each with its index."""
    if connection.dialect.name == "sqlite":
        return await sqlite_plan(connection, query)
    compiled = query.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
    rows = await connection.exec_driver_sql(f"EXPLAIN {compiled}")
    return [row[0].strip() for row in rows]


async def sqlite_plan(connection: AsyncConnection, query: Select[*tuple[object, ...]]) -> list[str]:
    """The steps that SQLite says it would take."""
    compiled = query.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
    return [row.detail for row in rows]

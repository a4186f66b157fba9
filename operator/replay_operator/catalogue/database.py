"""The way to the database: SQLite in a file, or Postgres by URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import aiosqlite
from pydantic import SecretStr
from sqlalchemy import URL, Connection, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from replay_operator.catalogue.errors import CatalogueAwayError, RowsRefusedError, UnsupportedDatabaseError

PATIENCE_SECONDS = 5
"""For a connection, and for SQLite's one writer at a time."""

STATEMENT_SECONDS = 30

_BEGIN = "replay_begin"

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # readers do not wait for the writer
    "PRAGMA synchronous=FULL",  # a committed row survives a node that loses its power, not only a kill
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={PATIENCE_SECONDS * 1000}",
)


@dataclass(frozen=True, slots=True)
class Database:
    """Transactions on one database. Nothing is opened before the first."""

    engine: AsyncEngine
    threads: set[Thread] = field(default_factory=set)
    """In which SQLite works: the driver has one for each connection."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction for reading.

        Raises:
            CatalogueAwayError: The database does not answer.
        """
        async with self._transaction("BEGIN") as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction for writing; it is committed when the block ends without an error.

        On SQLite it takes the write lock at once: one that begins by reading and writes later may be refused
        in the middle.

        Raises:
            CatalogueAwayError: The database does not answer, or is full.
            RowsRefusedError: It does not take what was written.
        """
        async with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        # One that was refused or cancelled says so a moment later, and must not find the event loop gone.
        for thread in tuple(self.threads):
            await asyncio.to_thread(thread.join, PATIENCE_SECONDS)

    @asynccontextmanager
    async def _transaction(self, begin: str) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.execution_options(**{_BEGIN: begin}).begin() as connection:
                yield connection
        except (OSError, TimeoutError, exc.SQLAlchemyError) as error:
            if _is_refusal(error):
                raise RowsRefusedError(f"the catalogue ({self._place}) refuses: {_cause(error)}") from error
            raise CatalogueAwayError(
                f"the catalogue ({self._place}) does not answer: {_cause(error)}"
            ) from error

    @property
    def _place(self) -> str:
        url = self.engine.url
        return url.database or "" if url.host is None else f"{url.host}/{url.database}"


def open_database(url: SecretStr, *, must_exist: bool = False) -> Database:
    """Prepare the way to a database.

    Args:
        url: `sqlite:////data/catalogue.db` (four slashes: an absolute path) or
            `postgresql://user:password@host/name`.
        must_exist: Whether a SQLite file that is not there is an error; else the first transaction makes it.

    Raises:
        CatalogueAwayError: The file is not there, and must be.
        UnsupportedDatabaseError: The URL names neither. What it says is not repeated: it may hold a password.
    """
    try:
        parsed = make_url(url.get_secret_value())
    except exc.ArgumentError:
        raise UnsupportedDatabaseError(
            "the catalogue's URL cannot be read: write sqlite:////path/to/file or postgresql://user:password@host/name"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed, must_exist=must_exist)
        case "postgresql" | "postgres":
            return _open_postgres(parsed)
        case other:
            raise UnsupportedDatabaseError(
                f"the catalogue cannot use {other}: write sqlite:////path/to/file or postgresql://user:password@host/name"
            )


def _open_sqlite(url: URL, *, must_exist: bool) -> Database:
    if not url.database or not url.database.startswith("/"):
        raise UnsupportedDatabaseError(
            "the catalogue's SQLite file needs an absolute path, with four slashes: sqlite:////data/catalogue.db"
        )
    if must_exist and not Path(url.database).is_file():
        raise CatalogueAwayError(
            f"the catalogue ({url.database}) is not there: run this where the operator runs, or give the URL "
            "of the database that it uses"
        )
    path, threads = url.database, set[Thread]()

    async def connect() -> aiosqlite.Connection:
        connection = aiosqlite.connect(path, timeout=PATIENCE_SECONDS)
        thread = connection._thread  # noqa: SLF001 - aiosqlite tells it nowhere else
        thread.daemon = True  # as SQLAlchemy has it: it must not hold up the process's end
        threads.difference_update([ended for ended in threads if ended.ident and not ended.is_alive()])
        threads.add(thread)
        return await connection

    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"), hide_parameters=True, async_creator=connect
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # By itself the driver begins no transaction for a change of the schema: half a migration could stay.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])

    return Database(engine, threads)


def _open_postgres(url: URL) -> Database:
    connect_args: dict[str, Any] = {"timeout": PATIENCE_SECONDS, "command_timeout": STATEMENT_SECONDS}
    return Database(
        create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            hide_parameters=True,
            pool_pre_ping=True,  # a Postgres that was restarted is noticed before the statement, not by it
            pool_timeout=PATIENCE_SECONDS,
            connect_args=connect_args,
        )
    )


def _is_refusal(error: Exception) -> bool:
    """Tell whether the rows are to blame: then the same error comes however often they are written.

    asyncpg's own errors are all of one class to SQLAlchemy, so their SQLSTATE is read: class 22 is about
    values, 23 about constraints (PostgreSQL's appendix A). What asyncpg cannot even send is a ValueError.
    """
    state = getattr(error.orig, "sqlstate", None) or "" if isinstance(error, exc.DBAPIError) else ""
    if state.startswith("42"):
        return False  # a right or a table that is missing: mended there, and every row is good then
    if isinstance(error, exc.IntegrityError | exc.DataError | exc.ProgrammingError):
        return True
    if isinstance(error, exc.DBAPIError):
        return state[:2] in {"22", "23"} or isinstance(error.driver_exception, ValueError)
    return isinstance(error, exc.StatementError)


def _cause(error: Exception) -> str:
    """Give the driver's words alone: SQLAlchemy's repeat the statement."""
    cause = error.orig if isinstance(error, exc.StatementError) else error
    return str(cause) or type(cause).__name__

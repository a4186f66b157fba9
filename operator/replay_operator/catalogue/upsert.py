"""One statement for a row that may be there already, on both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Dialect, or_
from sqlmodel import SQLModel

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def upsert(table: type[SQLModel], dialect: Dialect) -> postgresql.Insert | sqlite.Insert:
    """Give the statement that inserts a row or brings it up to date. An unchanged row is not written.

    Args:
        table: Which.
        dialect: Whose words; both engines have the clause, SQLAlchemy has it twice.
    """
    columns = table.__table__.columns  # type: ignore[attr-defined]  # SQLAlchemy adds it to the class
    insert = _insert(table, dialect)
    others = [column for column in columns if not column.primary_key]
    return insert.on_conflict_do_update(
        index_elements=[column for column in columns if column.primary_key],
        set_={column.name: insert.excluded[column.name] for column in others},
        where=or_(*(column.is_distinct_from(insert.excluded[column.name]) for column in others)),
    )


def _insert(table: type[SQLModel], dialect: Dialect) -> postgresql.Insert | sqlite.Insert:
    # Each takes megabytes, and a process talks to one engine.
    if dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into_postgres  # noqa: PLC0415

        return into_postgres(table)
    from sqlalchemy.dialects.sqlite import insert as into_sqlite  # noqa: PLC0415

    return into_sqlite(table)

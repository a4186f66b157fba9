"""One statement for a row that may be there already, on both engines."""

from __future__ import annotations

from sqlalchemy import Dialect, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel


def upsert(table: type[SQLModel], dialect: Dialect) -> postgresql.Insert | sqlite.Insert:
    """Give the statement that inserts a row or brings it up to date. An unchanged row is not written.

    Args:
        table: Which.
        dialect: Whose words; both engines have the clause, SQLAlchemy has it twice.
    """
    columns = table.__table__.columns  # type: ignore[attr-defined]  # SQLAlchemy adds it to the class
    insert = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    others = [column for column in columns if not column.primary_key]
    return insert.on_conflict_do_update(
        index_elements=[column for column in columns if column.primary_key],
        set_={column.name: insert.excluded[column.name] for column in others},
        where=or_(*(column.is_distinct_from(insert.excluded[column.name]) for column in others)),
    )

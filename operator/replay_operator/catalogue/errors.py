"""What can go wrong with the catalogue, in the words of whoever reads the log."""

from __future__ import annotations


class CatalogueError(Exception):
    """Something is wrong with the catalogue."""


class UnsupportedDatabaseError(CatalogueError):
    """The URL names a database that the catalogue cannot use."""


class UnsupportedCacheError(CatalogueError):
    """The URL names a cache that the catalogue cannot use."""


class CatalogueAwayError(CatalogueError):
    """The database does not answer, or cannot write now. What was asked may be asked again later."""


class RowsRefusedError(CatalogueError):
    """The database answers, and will not take these rows however often it is asked."""


class SchemaRefusedError(CatalogueError):
    """The database has a schema that this version must not touch."""


class SchemaMissingError(CatalogueError):
    """The database has no schema, or one that this version's operator has not brought up to date yet."""


class BadCursorError(CatalogueError):
    """A cursor is none that a page ended with."""

"""The catalogue's schema while an operator runs: brought up to date, or left alone as another version's."""

from __future__ import annotations

import asyncio
import logging

from replay_operator.catalogue.database import Database
from replay_operator.catalogue.errors import CatalogueError, SchemaMissingError, SchemaRefusedError
from replay_operator.catalogue.migrate import bring_up_to_date, require_schema
from replay_operator.catalogue.recorder import pause_seconds

LOOK_SECONDS = 60.0
"""From one look to the next. Installs that share a database are not upgraded at one instant."""

log = logging.getLogger(__name__)


class SchemaKeeper:
    """Says when the catalogue may be used.

    Args:
        database: Whose schema it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_prepared = asyncio.Event()
        self.fits = False
        """Whether it was this version's when it was last looked at."""
        self.is_refused = False
        """Whether a newer version has been at it: then nothing is written or asked until that is undone."""

    async def prepare(self) -> None:
        """Bring the schema up to date; a database that is away, or of a newer version, is waited for."""
        failures = 0
        while True:
            try:
                step = await bring_up_to_date(self._database)
            except CatalogueError as error:
                failures += 1
                self._note(error, is_first=failures == 1)
                await asyncio.sleep(pause_seconds(failures))
            else:
                self.fits, self.is_refused = True, False
                self._is_prepared.set()
                log.info("the catalogue is there, its schema needed: %s", step)
                return

    async def prepared(self) -> None:
        """Wait until the schema has once been this version's."""
        await self._is_prepared.wait()

    async def until_changed(self) -> None:
        """Wait until the schema is no longer this version's."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await require_schema(self._database)
            except (SchemaRefusedError, SchemaMissingError):
                self.fits = False
                return
            except CatalogueError as error:
                log.debug("the catalogue's schema is not looked at now: %s", error)

    def _note(self, error: CatalogueError, *, is_first: bool) -> None:
        is_news = isinstance(error, SchemaRefusedError) and not self.is_refused
        # A database that is away says nothing of its schema: a refusal stands until it is seen to be undone.
        self.is_refused = self.is_refused or is_news
        if is_first or is_news:
            level = logging.ERROR if self.is_refused else logging.WARNING
            log.log(level, "%s; what it misses is kept, and recording goes on without it", error)

"""Serves the read API for as long as the operator's process lives, whether it leads or waits."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from replay_operator.bearer_tokens import TokenFiles
from replay_operator.catalogue.database import open_database
from replay_operator.http_server import served
from replay_operator.settings import OperatorSettings

SHUTDOWN_SECONDS = 1.0
"""How long a stop waits for answers that are on their way."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def catalogue_api(settings: OperatorSettings, clock: Callable[[], datetime]) -> AsyncIterator[None]:
    """Serve during the block, where the settings say so.

    Args:
        settings: Without a port, a catalogue or a token nothing is served.
        clock: Gives the time.

    Raises:
        UnsupportedDatabaseError: The catalogue's URL names no database that can be used.
    """
    url, port = settings.catalogue_url, settings.catalogue_api_port
    if port is None:
        yield
        return
    if url is None or not url.get_secret_value():
        log.error("the read API is off: REPLAY_CATALOGUE_API_PORT needs REPLAY_CATALOGUE_URL")
        yield
        return
    tokens = TokenFiles(settings.catalogue_api_token_directory)
    if not tokens.any_known():
        log.error("the read API is off: there is no token in %s", settings.catalogue_api_token_directory)
        yield
        return
    # The models of OpenAPI take a while to import, and memory: only who serves it pays.
    from replay_operator.controller.catalogue_api.application import (  # noqa: PLC0415 - see above
        CatalogueReader,
        make_application,
    )

    database = open_database(url)
    reader = CatalogueReader(database, tokens, settings.quota_limits(), clock)
    try:
        async with served(
            make_application(reader), settings.bind_address, port, close_seconds=SHUTDOWN_SECONDS
        ) as addresses:
            log.info("the read API of the catalogue listens on %s", addresses)
            yield
    finally:
        await database.close()

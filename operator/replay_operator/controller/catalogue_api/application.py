"""The read API of the catalogue: clips, sessions and the quota of an owner, and its own description."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import web

from replay_operator.bearer_tokens import TokenFiles
from replay_operator.catalogue.answers import clip_list, quota_answer, session_list
from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database
from replay_operator.catalogue.migrate import require_schema
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.usage import Usage
from replay_operator.controller.catalogue_api.description import describe
from replay_operator.controller.catalogue_api.problems import explain
from replay_operator.controller.catalogue_api.questions import (
    ClipsQuestion,
    OwnerQuestion,
    SessionsQuestion,
    query_of,
)
from replay_operator.controller.described_api.access import refused
from replay_operator.controller.described_api.answers import told
from replay_operator.controller.described_api.routes import description_routes
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.http_server import Handler

ANSWER_SECONDS = 10.0
"""A back end that waits for longer has given its own user up."""

CHECK_AGAIN = timedelta(minutes=1)
"""An operator of a newer version may change the schema under this one."""


@dataclass(slots=True)
class CatalogueReader:
    """What the handlers need.

    Attributes:
        database: The catalogue; connections of its own, so that readers never hold up the recorder.
        tokens: Who may ask.
        defaults: What every owner may have who has no limits of its own.
        clock: Gives the time.
    """

    database: Database
    tokens: TokenFiles
    defaults: QuotaLimits
    clock: Callable[[], datetime]
    _checked_at: datetime | None = field(default=None, init=False)

    async def checked(self) -> Database:
        """Give the database if its schema is this version's, or was a moment ago.

        Raises:
            CatalogueError: It does not answer, or has another schema.
        """
        now = self.clock()
        if self._checked_at is None or now - self._checked_at >= CHECK_AGAIN:
            await require_schema(self.database)
            self._checked_at = now
        return self.database


_READER = web.AppKey("reader", CatalogueReader)


def make_application(reader: CatalogueReader) -> web.Application:
    """Make the aiohttp application.

    Args:
        reader: What the handlers need.
    """
    app = web.Application(middlewares=[explain, _authorise])
    app[_READER] = reader
    app.add_routes(
        [
            web.get("/v1/clips", _clips),
            web.get("/v1/sessions", _sessions),
            web.get("/v1/quota/{owner}", _quota),
            *description_routes(describe()),
        ]
    )
    return app


@web.middleware
async def _authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    refusal = await refused(request, request.app[_READER].tokens)
    if refusal is not None:
        return refusal
    async with asyncio.timeout(ANSWER_SECONDS):
        return await handler(request)


async def _clips(request: web.Request) -> web.Response:
    asked = ClipsQuestion.model_validate(query_of(request))
    clips = Clips(await request.app[_READER].checked())
    return told(clip_list(await clips.page(asked.chosen, limit=asked.limit, after=asked.after)))


async def _sessions(request: web.Request) -> web.Response:
    asked = SessionsQuestion.model_validate(query_of(request))
    sessions = Sessions(await request.app[_READER].checked())
    return told(session_list(await sessions.page(asked.chosen, limit=asked.limit, after=asked.after)))


async def _quota(request: web.Request) -> web.Response:
    owner = OwnerQuestion.model_validate(dict(request.match_info)).owner
    reader = request.app[_READER]
    usage = await Usage(await reader.checked()).of_owner(owner, reader.clock())
    return told(quota_answer(usage, reader.defaults))

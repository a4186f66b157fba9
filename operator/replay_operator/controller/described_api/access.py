"""Who may ask an API: whoever has one of its tokens. What the API says of itself is for everybody."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web

from replay_operator.bearer_tokens import TokenFiles, bearer_token
from replay_operator.controller.described_api.problems import problem

_PROTECTED = "/v1/"


async def refused(request: web.Request, tokens: TokenFiles) -> web.Response | None:
    """Give the answer to a request that needs a token and has none that counts; None: it may go on.

    Args:
        request: What is asked.
        tokens: Those that count.
    """
    if not request.path.startswith(_PROTECTED):
        return None
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is not None and await asyncio.to_thread(tokens.accepts, token):
        return None
    return problem(
        HTTPStatus.UNAUTHORIZED,
        "the bearer token is missing or is none that this API accepts",
        {"WWW-Authenticate": "Bearer"},
    )

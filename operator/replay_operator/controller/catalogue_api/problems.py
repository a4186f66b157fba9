"""Everything that can go wrong with a question to the catalogue, and what is answered then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from replay_operator.catalogue.errors import BadCursorError, CatalogueError, RowsRefusedError
from replay_operator.controller.described_api.problems import RETRY_AFTER_SECONDS, problem
from replay_operator.http_server import Handler

_HINTS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path: /openapi.json says what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "this API is only read: use GET",
}

log = logging.getLogger(__name__)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into an answer. What the database said stays here: it may name hosts and columns.

    Args:
        request: What was asked.
        handler: Answers it.
    """
    try:
        return await handler(request)
    except (ValidationError, BadCursorError, RowsRefusedError) as error:
        return problem(HTTPStatus.BAD_REQUEST, _sentence(error))
    except (CatalogueError, TimeoutError) as error:
        log.debug("%s %s: %s", request.method, request.path, error)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the catalogue does not answer now, recording and captures go on without it: try again",
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    except web.HTTPException as error:
        return problem(HTTPStatus(error.status), _HINTS.get(error.status, error.reason))
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong; the operator's log says what it was"
        )


def _sentence(error: ValidationError | BadCursorError | RowsRefusedError) -> str:
    match error:
        case RowsRefusedError():
            return "the database cannot look for these values"
        case BadCursorError():
            return str(error)
    # Not the whole error: it repeats the input, which may be long.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message

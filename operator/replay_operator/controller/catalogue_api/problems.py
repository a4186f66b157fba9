"""Everything that can go wrong with a request, as problem details (RFC 9457) with a sentence."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from replay_operator.api.model import ApiModel
from replay_operator.catalogue.errors import BadCursorError, CatalogueError, RowsRefusedError

PROBLEM_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 5

_HINTS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "there is nothing at this path: /openapi.json says what there is",
    HTTPStatus.METHOD_NOT_ALLOWED: "this API is only read: use GET",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class Problem(ApiModel):
    """Why a request was not answered."""

    title: str
    status: int
    detail: str


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Make the answer to a request that was not carried out.

    Args:
        status: Of the answer.
        detail: A sentence for whoever wrote the client.
        headers: More headers.
    """
    body = Problem(title=status.phrase, status=status, detail=detail)
    return web.Response(
        status=status,
        text=body.model_dump_json(by_alias=True),
        content_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


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

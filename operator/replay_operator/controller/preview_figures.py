"""Counts what back ends ask the preview API for, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from aiohttp import web

from replay_operator.metrics import PREVIEW_REQUESTS, OperatorMetrics

_OTHER = "other"
_KNOWN: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "refused",
    HTTPStatus.NOT_FOUND: "missing",
    HTTPStatus.CONFLICT: "missing",
    # Not the back end's fault: the operator's Role lacks a verb, or admission does not let it save.
    HTTPStatus.FORBIDDEN: "failed",
}


def counting(metrics: OperatorMetrics) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Give what counts an answer that is about to be sent.

    Args:
        metrics: Where it is counted.
    """

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        name = request.match_info.route.name
        what = name if name in PREVIEW_REQUESTS else _OTHER
        metrics.preview_requests.labels(what, _result(response.status)).inc()

    return count


def _result(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return "ok"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return _KNOWN.get(status, "invalid")

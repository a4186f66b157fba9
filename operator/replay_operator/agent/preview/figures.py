"""Counts what people look at, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web
from cachetools import TTLCache

from replay_operator.agent.metrics import PREVIEW_REQUESTS, AgentMetrics
from replay_operator.agent.preview.hot_segments import HotSegments

LOOKED_SECONDS = 60.0
MOST_BUFFERS = 10_000

_OTHER = "other"
_BUFFER = "uid"
"""As the routes call it."""


class PreviewFigures:
    """Follows the answers of the preview's server."""

    def __init__(self, metrics: AgentMetrics, hot: HotSegments | None, timer: Callable[[], float]) -> None:
        """Begin with nobody looking.

        Args:
            metrics: Where it is counted.
            hot: Segments in memory, None where there are none.
            timer: Gives seconds that only grow.
        """
        self._metrics = metrics
        self._hot = hot
        self._looked_at: TTLCache[str, None] = TTLCache(MOST_BUFFERS, LOOKED_SECONDS, timer)
        metrics.metrics.before_each_page(self._take)

    async def count(self, request: web.Request, response: web.StreamResponse) -> None:
        """Count an answer that is about to be sent: only then does a file know its status.

        Args:
            request: What was asked.
            response: What is answered.
        """
        name = request.match_info.route.name
        what = name if name in PREVIEW_REQUESTS else _OTHER
        self._metrics.preview_requests.labels(what, _result(response.status)).inc()
        uid = request.match_info.get(_BUFFER)
        if uid is not None and response.status < HTTPStatus.BAD_REQUEST:
            self._looked_at[uid] = None

    def _take(self) -> None:
        self._looked_at.expire()
        self._metrics.preview_buffers.set(len(self._looked_at))
        self._metrics.preview_memory_bytes.set(self._hot.held_bytes if self._hot is not None else 0)


def _result(status: int) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return "ok"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    known = {HTTPStatus.FORBIDDEN: "refused", HTTPStatus.NOT_FOUND: "missing"}
    return known.get(HTTPStatus(status), "invalid")

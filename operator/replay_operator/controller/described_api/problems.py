"""What an API answers when it does not do what was asked: problem details (RFC 9457) with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from replay_operator.api.model import ApiModel

PROBLEM_TYPE = "application/problem+json"

RETRY_AFTER_SECONDS = 5


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

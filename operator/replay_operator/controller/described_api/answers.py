"""What an API answers when it did what was asked."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from replay_operator.api.model import ApiModel


def told(answer: ApiModel, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """Give an answer that nobody on the way keeps: it is for one person, and true for a moment.

    Args:
        answer: What is told.
        status: Of the answer.
    """
    return web.json_response(answer.to_wire(), status=status, headers={"Cache-Control": "no-store"})

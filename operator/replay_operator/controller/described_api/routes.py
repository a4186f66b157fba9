"""Where an API says what it is: `/openapi.json` for programs and `/` for people."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from replay_operator.controller.described_api.page import html_page

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def description_routes(document: dict[str, Any]) -> list[web.RouteDef]:
    """Give the routes of a description. They need no token: nothing of the install is in them.

    Args:
        document: In OpenAPI.
    """
    described, page = json.dumps(document), html_page(document)

    async def for_programs(_: web.Request) -> web.Response:
        return web.Response(text=described, content_type="application/json")

    async def for_people(_: web.Request) -> web.Response:
        return web.Response(
            text=page, content_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY}
        )

    return [web.get("/openapi.json", for_programs), web.get("/", for_people)]

"""The agent's HTTP server. The protocol is described in `api/agent.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from aiohttp import web
from pydantic import ValidationError

from replay_operator.agent.clips import ClipRefusedError
from replay_operator.agent.daemon import Agent
from replay_operator.agent.policy_book import POLICY_LIMIT_BYTES, InvalidPolicyError
from replay_operator.api.agent import ClipDeletion, Policy, Refused, RunFile
from replay_operator.api.model import ApiModel
from replay_operator.bearer_tokens import bearer_token
from replay_operator.domain.layout import LayoutError, RunPath
from replay_operator.http_server import Handler

_AGENT = web.AppKey("agent", Agent)
_PROTOCOL = "/v1/"

_Model = TypeVar("_Model", bound=ApiModel)


def make_app(agent: Agent) -> web.Application:
    """Make the aiohttp application.

    Args:
        agent: What the requests are about.
    """
    app = web.Application(middlewares=[_authorise, _explain], client_max_size=POLICY_LIMIT_BYTES)
    app[_AGENT] = agent
    app.add_routes(
        [
            web.put("/v1/policy", _put_policy),
            web.put("/v1/runs/{namespace}/{uid}/{run}", _put_run),
            web.post("/v1/clips/delete", _delete_clip),
            web.post("/v1/clips/drop", _drop_clip),
            web.get("/v1/coverage", _get_coverage),
            web.get("/v1/volume", _get_volume),
            web.get("/metrics", _get_metrics),
            web.get("/healthz", _get_health),
            web.get("/readyz", _get_readiness),
        ]
    )
    return app


@web.middleware
async def _authorise(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith(_PROTOCOL):
        return await handler(request)
    agent = request.app[_AGENT]
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None or not await agent.accepts_token(token):
        answer = _error(
            HTTPStatus.UNAUTHORIZED, "the bearer token is missing or is none that this agent accepts"
        )
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if not agent.owns_volume:
        return _error(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "this agent does not hold the lock of the buffer volume; try again",
        )
    return await handler(request)


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ValidationError, InvalidPolicyError, LayoutError) as error:
        return _error(HTTPStatus.BAD_REQUEST, _sentence(error))
    except OSError as error:
        return _error(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"the buffer volume cannot be used, look at it: {error.strerror}",
        )


async def _put_policy(request: web.Request) -> web.Response:
    agent = request.app[_AGENT]
    accepted = await agent.put_policy(await _body(request, Policy))
    status = HTTPStatus.OK if accepted else HTTPStatus.CONFLICT
    return web.json_response(agent.ack.to_wire(), status=status)


async def _put_run(request: web.Request) -> web.Response:
    match = request.match_info
    path = RunPath(namespace=match["namespace"], buffer_uid=match["uid"], run=match["run"])
    stored = await request.app[_AGENT].put_run(path, await _body(request, RunFile))
    return web.json_response(stored.to_wire())


async def _delete_clip(request: web.Request) -> web.Response:
    return await _on_archive(request, request.app[_AGENT].delete_clip)


async def _drop_clip(request: web.Request) -> web.Response:
    return await _on_archive(request, request.app[_AGENT].drop_clip)


async def _on_archive(
    request: web.Request, change: Callable[[ClipDeletion], Awaitable[None]]
) -> web.Response:
    try:
        await change(await _body(request, ClipDeletion))
    except ClipRefusedError as refusal:
        return _error(HTTPStatus.CONFLICT, str(refusal))
    except OSError as error:
        return _error(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"the archive volume cannot be used, look at it: {error.strerror}",
        )
    return web.json_response(Refused().to_wire())


async def _get_coverage(request: web.Request) -> web.Response:
    coverage = request.app[_AGENT].coverage(request.query.get("since"))
    return web.Response(
        text=coverage.model_dump_json(by_alias=True, exclude_none=True), content_type="application/json"
    )


async def _get_volume(request: web.Request) -> web.Response:
    return web.json_response((await request.app[_AGENT].facts()).to_wire())


async def _get_metrics(request: web.Request) -> web.Response:
    page = request.app[_AGENT].metrics_page(request.headers.get("Accept", ""))
    return web.Response(body=page.body, headers={"Content-Type": page.content_type})


async def _get_health(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _get_readiness(request: web.Request) -> web.Response:
    reason = await request.app[_AGENT].why_not_ready()
    if reason is not None:
        return web.Response(text=f"{reason}\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
    return web.Response(text="ok\n")


async def _body(request: web.Request, model: type[_Model]) -> _Model:
    return model.model_validate_json(await request.read())


def _error(status: HTTPStatus, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


def _sentence(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    # Not the whole error: it repeats the input, which may be long.
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the body"
    return f"{place} of the {error.title} is not valid: {first['msg']}"

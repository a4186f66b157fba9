"""Hands out signed addresses of previews and clips, and saves what people marked; leading or waiting.

Who may see and save what is the back end's to decide: it asks with its token, for one person.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

from aiohttp import web
from pydantic import ValidationError

from replay_operator.address_keys import KEY_FILES, AddressKeys
from replay_operator.api.model import API_VERSION
from replay_operator.api.replaycapture import CAPTURE_KIND, BetweenRange
from replay_operator.api.upload import LocalCopy
from replay_operator.bearer_tokens import TokenFiles
from replay_operator.cluster.gateway import ClusterError, Forbidden
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.controller.described_api.access import refused
from replay_operator.controller.described_api.answers import told
from replay_operator.controller.described_api.problems import RETRY_AFTER_SECONDS, problem
from replay_operator.controller.described_api.routes import description_routes
from replay_operator.controller.preview_answers import NAME_PATTERN, SavedCapture, SignedAddress
from replay_operator.controller.preview_figures import counting
from replay_operator.domain.signed_address import Scope, signed_query
from replay_operator.http_server import Handler, served
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings

ANSWER_SECONDS = 10.0
SHUTDOWN_SECONDS = 1.0
"""How long a stop waits for answers that are on their way."""

_NO_BUFFER = "there is no ReplayBuffer of this name"
_NAME = re.compile(NAME_PATTERN)
log = logging.getLogger(__name__)


class Objects(Protocol):
    """Reads an object by its name, and makes one."""

    async def named(self, type_: ResourceType, namespace: str, name: str) -> dict[str, Any] | None:
        """Give it, or None when there is none."""
        ...

    async def create(self, type_: ResourceType, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make it, and give what it has become."""
        ...


@dataclass(frozen=True, slots=True)
class AddressOffice:
    """What the handlers need.

    Attributes:
        objects: Reads buffers and captures, and makes captures.
        namespace: Where they are.
        tokens: Who may ask.
        keys: The key that signs.
        base_url: Where browsers reach the agent's preview port, without a slash at its end.
        lifetime: How long an address is good.
        clock: Gives the time.
    """

    objects: Objects
    namespace: str
    tokens: TokenFiles
    keys: AddressKeys
    base_url: str
    lifetime: timedelta
    clock: Callable[[], datetime]


_OFFICE = web.AppKey("office", AddressOffice)


@asynccontextmanager
async def preview_api(
    settings: OperatorSettings, objects: Objects, clock: Callable[[], datetime], metrics: OperatorMetrics
) -> AsyncIterator[None]:
    """Serve during the block, where the settings say so.

    Args:
        settings: Without a port, the preview's URL or a token nothing is served.
        objects: Reads buffers and captures.
        clock: Gives the time.
        metrics: Where requests are counted.
    """
    port, base_url = settings.preview_api_port, settings.preview_url
    if port is None:
        yield
        return
    tokens = TokenFiles(settings.preview_api_token_directory)
    if base_url is None:
        log.error("no addresses are handed out: REPLAY_PREVIEW_API_PORT needs REPLAY_PREVIEW_URL")
        yield
        return
    if not tokens.any_known():
        log.error("no addresses are handed out: no token in %s", settings.preview_api_token_directory)
        yield
        return
    office = AddressOffice(
        objects=objects,
        namespace=settings.namespace,
        tokens=tokens,
        keys=AddressKeys(settings.agent_token_directory, KEY_FILES[:1]),
        base_url=base_url.rstrip("/"),
        lifetime=timedelta(seconds=settings.preview_address_seconds),
        clock=clock,
    )
    # The models of OpenAPI take a while to import, and memory: only who serves it pays.
    from replay_operator.controller.preview_description import describe  # noqa: PLC0415 - see above

    app = make_application(office, describe(), metrics)
    async with served(app, settings.bind_address, port, close_seconds=SHUTDOWN_SECONDS) as addresses:
        log.info("addresses of previews are handed out on %s", addresses)
        yield


def make_application(
    office: AddressOffice, description: dict[str, Any], metrics: OperatorMetrics
) -> web.Application:
    """Make the aiohttp application.

    Args:
        office: What the handlers need.
        description: Of this API, in OpenAPI.
        metrics: Where requests are counted.
    """
    app = web.Application(middlewares=[_guard])
    app[_OFFICE] = office
    app.on_response_prepare.append(counting(metrics))
    app.add_routes(
        [
            web.post("/v1/buffers/{name}/preview", _preview, name="preview"),
            web.post("/v1/buffers/{name}/captures", _save, name="save"),
            web.post("/v1/captures/{name}/download", _download, name="download"),
            *description_routes(description),
        ]
    )
    return app


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    refusal = await refused(request, request.app[_OFFICE].tokens)
    if refusal is not None:
        return refusal
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await handler(request)
    except web.HTTPException as error:
        return problem(HTTPStatus(error.status), error.reason)
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "no address can be made now, the operator's log says why: try again",
            {"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


async def _preview(request: web.Request) -> web.Response:
    found = await _object(request, BUFFERS)
    if found is None:
        return problem(HTTPStatus.NOT_FOUND, _NO_BUFFER)
    uid = found["metadata"]["uid"]
    return await _address(request, Scope("buffer", uid), f"/v1/preview/{uid}/playlist.m3u8", with_page=True)


async def _save(request: web.Request) -> web.Response:
    office, name = request.app[_OFFICE], request.match_info["name"]
    if await _object(request, BUFFERS) is None:
        return problem(HTTPStatus.NOT_FOUND, _NO_BUFFER)
    try:
        marked = BetweenRange.model_validate_json(await request.read())
    except ValidationError:
        return problem(HTTPStatus.BAD_REQUEST, "send {start, end} as JSON: RFC 3339 times with their zone")
    body = {
        "apiVersion": API_VERSION,
        "kind": CAPTURE_KIND,
        "metadata": {"generateName": f"{name}-"},
        "spec": {"bufferRef": {"name": name}, "range": {"between": marked.to_wire()}},
    }
    try:
        made = await office.objects.create(CAPTURES, office.namespace, body)
    except Forbidden as error:
        log.warning("a capture of %s was not made: %s", name, error)
        return problem(
            HTTPStatus.FORBIDDEN,
            "Kubernetes does not let the operator make this capture, its log says why: "
            "its Role needs the verb create on replaycaptures",
        )
    except ClusterError as error:
        if error.code != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        # The API server's sentence says which rule of the range is broken.
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error.answer.get("message", "")))
    return told(SavedCapture(name=made["metadata"]["name"]), HTTPStatus.CREATED)


async def _download(request: web.Request) -> web.Response:
    found = await _object(request, CAPTURES)
    if found is None:
        return problem(HTTPStatus.NOT_FOUND, "there is no ReplayCapture of this name")
    status = found.get("status", {})
    clip = status.get("clip", {})
    path = clip.get("path")
    if not path:
        return problem(HTTPStatus.CONFLICT, "this capture has no clip: its status says why, or when it will")
    if status.get("upload", {}).get("localCopy") == LocalCopy.DROPPED:
        return problem(
            HTTPStatus.CONFLICT, f"this clip is in object storage only: get it from {clip.get('url')}"
        )
    return await _address(request, Scope("clip", path), f"/v1/clips/{quote(path)}")


async def _object(request: web.Request, type_: ResourceType) -> dict[str, Any] | None:
    office, name = request.app[_OFFICE], request.match_info["name"]
    return await office.objects.named(type_, office.namespace, name) if _NAME.fullmatch(name) else None


async def _address(request: web.Request, scope: Scope, path: str, *, with_page: bool = False) -> web.Response:
    office = request.app[_OFFICE]
    keys = await asyncio.to_thread(office.keys.current)
    if not keys:
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"there is no key that signs: put `{KEY_FILES[0]}` into the Secret of the agent's token",
        )
    expires_at = (office.clock() + office.lifetime).replace(microsecond=0)
    where = f"{path}?{signed_query(keys[0], scope, expires_at)}"
    # Behind the #, where it gets into no log and no Referer.
    page_url = f"{office.base_url}/#{where.removeprefix('/')}" if with_page else None
    return told(SignedAddress(url=office.base_url + where, expires_at=expires_at, page_url=page_url))

"""The preview's HTTP server: playlists and segments of buffers, and clips, each behind a signed address."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Annotated, Self
from urllib.parse import quote

from aiohttp import web
from pydantic import AwareDatetime, Field, ValidationError, model_validator

from replay_operator.agent.clips import clip_parts
from replay_operator.agent.directories import open_file_below
from replay_operator.agent.preview.lent_bytes import send_lent
from replay_operator.agent.preview.opened_file import OpenedFileResponse
from replay_operator.agent.preview.page_files import page_answer
from replay_operator.agent.preview.parts import Preview, ShownVolume
from replay_operator.agent.preview.threaded_file import send_in_threads
from replay_operator.agent.segments import SegmentFile
from replay_operator.api.model import ApiModel
from replay_operator.domain.layout import RunPath, segment_index, segment_name
from replay_operator.domain.preview_playlist import PLAYLIST_MEDIA_TYPE
from replay_operator.domain.signed_address import AddressRefusedError, Scope, check_address
from replay_operator.http_server import Handler

SEGMENT_MEDIA_TYPE = "video/mp2t"
CLIP_MEDIA_TYPE = "video/mp4"

_PREVIEW = web.AppKey("preview", Preview)
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
"""Not there, or no regular file below directories: for whoever looks it is the same."""


class PreviewRange(ApiModel):
    """The part of a buffer that a playlist shows; both are absent for all of it."""

    start: Annotated[AwareDatetime | None, Field(description="Where a player begins.")] = None
    end: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("the start lies before the end")
        return self


def make_preview_app(preview: Preview) -> web.Application:
    """Make the aiohttp application.

    Args:
        preview: What the requests are about.
    """
    app = web.Application(middlewares=[_explain])
    app[_PREVIEW] = preview
    app.on_response_prepare.append(_add_headers)
    app.on_response_prepare.append(preview.figures.count)
    app.add_routes(
        [
            web.get("/v1/preview/{uid}/playlist.m3u8", _playlist, name="playlist"),
            web.get("/v1/preview/{uid}/segments/{run}/{file}", _segment, name="segment"),
            web.get("/v1/clips/{path:.+}", _clip, name="clip"),
            web.get("/healthz", _health),
            web.get("/", _page),
            web.get("/settings.json", _page_settings),
            web.get("/{file:[a-z]+[.](?:js|css)}", _page),
        ]
    )
    return app


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AddressRefusedError as refusal:
        return _error(HTTPStatus.FORBIDDEN, str(refusal))
    except ValidationError as error:
        # Not the whole error: it repeats the input.
        first = error.errors(include_input=False, include_url=False)[0]["msg"]
        return _error(HTTPStatus.BAD_REQUEST, f"start and end are times with their zone: {first}")
    except OSError as error:
        if error.errno in _MISSING:
            return _error(HTTPStatus.NOT_FOUND, "it is not there any more, or never was")
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, f"the volume cannot be read: {error.strerror}")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    # Recordings of people: nothing of them stays in caches on the way or on somebody's disk.
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Content-Type-Options"] = "nosniff"
    # The address of a page that is opened from here would tell the signature.
    headers["Referrer-Policy"] = "no-referrer"
    origins = request.app[_PREVIEW].origins
    if not origins:
        return
    origin = request.headers.get("Origin")
    if "*" in origins:
        headers["Access-Control-Allow-Origin"] = "*"
    else:
        headers["Vary"] = "Origin"
        if origin in origins:
            headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "Content-Length, Content-Range"


async def _playlist(request: web.Request) -> web.StreamResponse:
    preview, uid = request.app[_PREVIEW], request.match_info["uid"]
    await _check(request, Scope("buffer", uid))
    asked = PreviewRange.model_validate(dict(request.query))
    buffer = preview.book.buffer_of(uid)
    if not preview.agent.owns_volume or preview.agent.scanner.scanned_at is None:
        return _error(HTTPStatus.SERVICE_UNAVAILABLE, "the buffer volume is not read yet: try again")
    # Only what was checked goes into the addresses of the segments, nothing else of the request.
    query = f"expires={request.query['expires']}&signature={request.query['signature']}"
    text: str | None = None
    if buffer is not None and asked.start is not None and asked.end is not None:
        text = await preview.book.part(buffer, asked.start, asked.end, query)
    elif buffer is not None:
        text = await preview.book.live(buffer, query)
    if text is None:
        return _error(
            HTTPStatus.NOT_FOUND, "nothing of this buffer is there: it has not recorded, or is gone"
        )
    return web.Response(body=text.encode(), content_type=PLAYLIST_MEDIA_TYPE)


async def _segment(request: web.Request) -> web.StreamResponse:
    preview, match = request.app[_PREVIEW], request.match_info
    await _check(request, Scope("buffer", match["uid"]))
    buffer = preview.book.buffer_of(match["uid"])
    found = _known_segment(preview, buffer, match["run"], match["file"]) if buffer is not None else None
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such segment")
    path, segment = found
    parts = (*path.relative.split("/"), segment_name(segment.index))
    if preview.hot is not None:
        key, read = (path, segment.index, segment.stamp), partial(_read_whole, preview, parts)
        async with preview.hot.lent(key, segment.bytes, lambda: preview.files.run(read)) as data:
            if data is not None:
                return await send_lent(request, data, SEGMENT_MEDIA_TYPE)
    return await _sent(request, preview.buffers, parts, {"Content-Type": SEGMENT_MEDIA_TYPE})


def _known_segment(preview: Preview, buffer: str, run: str, file: str) -> tuple[RunPath, SegmentFile] | None:
    """Find what the scan knows under these names: no path is made from what a request says."""
    known = preview.agent.scanner.state.buffers.get(buffer, {}).get(run)
    index = segment_index(file)
    if known is None or index is None or segment_name(index) != file:
        return None
    segment = known.segments.get(index)
    return (known.path, segment) if segment is not None and segment.span is not None else None


async def _clip(request: web.Request) -> web.StreamResponse:
    preview, path = request.app[_PREVIEW], request.match_info["path"]
    await _check(request, Scope("clip", path))
    parts = clip_parts(path)
    if parts is None:
        raise FileNotFoundError(errno.ENOENT, "no clip has such a path")
    name = quote(parts[-1], safe="")
    return await _sent(
        request,
        preview.archive,
        parts,
        {"Content-Type": CLIP_MEDIA_TYPE, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
    )


async def _sent(
    request: web.Request, volume: ShownVolume, parts: tuple[str, ...], headers: Mapping[str, str]
) -> web.StreamResponse:
    files = request.app[_PREVIEW].files
    descriptor = await files.run(open_file_below, volume.root, *parts)
    if volume.over_network:
        return await send_in_threads(request, descriptor, headers, files)
    return OpenedFileResponse(descriptor, headers)


async def _page(request: web.Request) -> web.StreamResponse:
    preview = request.app[_PREVIEW]
    file = preview.page.get(request.match_info.get("file", "index.html"))
    if file is None:
        raise FileNotFoundError(errno.ENOENT, "no such file of the page")
    return page_answer(request, file, preview.origins)


async def _page_settings(request: web.Request) -> web.Response:
    return web.json_response({"origins": sorted(request.app[_PREVIEW].origins)})


async def _health(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _check(request: web.Request, scope: Scope) -> None:
    preview = request.app[_PREVIEW]
    keys = await preview.files.run(preview.keys.current)
    check_address(keys, scope, request.query, preview.clock.now())


def _read_whole(preview: Preview, parts: tuple[str, ...]) -> bytes:
    with os.fdopen(open_file_below(preview.buffers.root, *parts), "rb") as file:
        return file.read()


def _error(status: HTTPStatus, sentence: str) -> web.Response:
    return web.json_response({"error": sentence}, status=status)

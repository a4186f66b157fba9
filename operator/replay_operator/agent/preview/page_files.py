"""The page that shows a buffer: a few files of our own, and the player library that the image holds."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from aiohttp import ETag, web

LIBRARY = "hls.js"

_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

# hls.js makes its worker from a blob, and gives the media to the browser as one.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; "
    "worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, in memory."""

    content: bytes
    media_type: str
    etag: str


def page_files(library: Path) -> Mapping[str, PageFile]:
    """Read the page by names of files; it blocks.

    Args:
        library: Where hls.js is. Without it the page says so to whoever opens it.
    """
    page = {entry.name: entry.read_bytes() for entry in files(__package__).joinpath("page").iterdir()}
    try:
        page[LIBRARY] = library.read_bytes()
    except OSError as error:
        _logger.warning("the preview's page cannot play: no hls.js at %s: %s", library, error.strerror)
    return {
        name: PageFile(
            content, _MEDIA_TYPES[Path(name).suffix], hashlib.blake2b(content, digest_size=12).hexdigest()
        )
        for name, content in page.items()
    }


def page_answer(request: web.Request, file: PageFile, origins: frozenset[str]) -> web.Response:
    """Answer with a file of the page; a browser asks each time whether it has changed.

    Args:
        request: What is answered.
        file: The file.
        origins: Whose pages may show this one in a frame; `*` is any.
    """
    ancestors = " ".join(sorted(origins)) or "'none'"
    answer = web.Response(headers={"Cache-Control": "no-cache"})
    answer.headers["Content-Security-Policy"] = _POLICY.format(ancestors=ancestors)
    answer.etag = file.etag
    if ETag(file.etag) in (request.if_none_match or ()):
        answer.set_status(304)
        return answer
    answer.body = file.content
    answer.content_type, answer.charset = file.media_type, "utf-8"
    return answer

"""Sends a file that was opened without following links: by sendfile, whole or in ranges."""

from __future__ import annotations

import os
from collections.abc import Mapping

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest


class OpenedFileResponse(web.FileResponse):
    """aiohttp's own answer for files, which knows ranges and conditions.

    It opens by name and follows links. The name of an open descriptor is a link to nothing but that file.
    """

    def __init__(self, descriptor: int, headers: Mapping[str, str]) -> None:
        """Take an open file, which is closed when it has been sent.

        Args:
            descriptor: Of a regular file.
            headers: Of the answer; with the content type, which the name does not tell.
        """
        super().__init__(f"/proc/self/fd/{descriptor}", headers=headers)
        self._descriptor: int | None = descriptor

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send it.

        Args:
            request: What is answered.
        """
        try:
            return await super().prepare(request)
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

"""Drives Debian's Firefox, headless, by WebDriver BiDi over its own socket: no geckodriver is needed."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.browsers.page import END_SECONDS, BrowserError, answer_to, written_by

PROGRAMS = ("firefox-esr", "firefox")


def program() -> str | None:
    """Find the browser."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class FirefoxPage:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._context = ""

    async def open(self, url: str) -> None:
        """Load a page."""
        await self._call("session.new", capabilities={})
        tree = await self._call("browsingContext.getTree")
        self._context = tree["contexts"][0]["context"]
        await self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """Run a script in the page; wait for its promise.

        Raises:
            BrowserError: It threw.
        """
        answer = await self._call(
            "script.evaluate",
            expression=f"Promise.resolve({script}).then(found => JSON.stringify(found ?? null))",
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise BrowserError(f"the script failed: {answer['exceptionDetails']['text']}")
        return json.loads(answer["result"]["value"])

    async def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        message = await answer_to(self._socket, next(self._numbers), method, parameters)
        return dict(message["result"])


@asynccontextmanager
async def running_page(browser: str, profile: Path) -> AsyncIterator[FirefoxPage]:
    """Run the browser with a profile of its own and give its first page. It ends with the context.

    Args:
        browser: The program.
        profile: An empty directory.
    """
    flags = ["--headless", "--remote-debugging-port=0", "--profile", str(profile), "--no-remote"]
    with (profile.parent / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            browser, *flags, "about:blank", stdout=log, stderr=log, start_new_session=True
        )
    try:
        port = json.loads(await written_by(process, profile / "WebDriverBiDiServer.json"))["ws_port"]
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{port}/session", max_msg_size=0) as socket,
        ):
            yield FirefoxPage(socket)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()

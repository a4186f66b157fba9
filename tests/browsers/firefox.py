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

from tests.browsers.page import END_SECONDS, BrowserError, Point, answer_to, written_by

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
        if not self._context:
            await self._call("session.new", capabilities={})
            tree = await self._call("browsingContext.getTree")
            self._context = tree["contexts"][0]["context"]
        await self._call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, script: str, *, in_frame: bool = False) -> Any:
        """Run a script in the page or in the only frame in it; wait for its promise.

        Raises:
            BrowserError: It threw.
        """
        context = await self._frame() if in_frame else self._context
        answer = await self._call(
            "script.evaluate",
            expression=f"Promise.resolve({script}).then(found => JSON.stringify(found ?? null))",
            target={"context": context},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise BrowserError(f"the script failed: {answer['exceptionDetails']['text']}")
        return json.loads(answer["result"]["value"])

    async def drag(self, begin: Point, end: Point, *, in_frame: bool = False) -> None:
        """Press the mouse at one place of the page or of its frame, and let it go at another."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in (begin, end)]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        await self._act(
            {"type": "pointer", "id": "mouse", "actions": [moves[0], down, moves[1], up]}, in_frame=in_frame
        )

    async def press(self, key: str) -> None:
        """Press a key that writes a letter."""
        actions = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        await self._act({"type": "key", "id": "keyboard", "actions": actions})

    async def _act(self, source: dict[str, Any], *, in_frame: bool = False) -> None:
        context = await self._frame() if in_frame else self._context
        await self._call("input.performActions", context=context, actions=[source])

    async def _frame(self) -> str:
        tree = await self._call("browsingContext.getTree", root=self._context)
        (frame,) = tree["contexts"][0]["children"]
        return str(frame["context"])

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

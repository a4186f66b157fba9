"""Drives Debian's Chromium, headless, by the DevTools protocol: no driver of another version is needed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.browsers.page import END_SECONDS, BrowserError, Point, answer_to, written_by

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_FRAME_PLACE = "(({left, top}) => [left, top])(document.querySelector('iframe').getBoundingClientRect())"


def program() -> str | None:
    """Find the browser."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class ChromiumPage:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._in_frame: int | None = None

    async def open(self, url: str) -> None:
        """Load a page."""
        self._in_frame = None
        await self._call("Page.enable")
        await self._call("Page.navigate", url=url)
        await self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )

    async def evaluate(self, script: str, *, in_frame: bool = False) -> Any:
        """Run a script in the page or in the only frame in it; wait for its promise.

        Raises:
            BrowserError: It threw.
        """
        where = {"contextId": await self._frame()} if in_frame else {}
        answer = await self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, **where
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"the script failed: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def drag(self, begin: Point, end: Point, *, in_frame: bool = False) -> None:
        """Press the mouse at one place of the page or of its frame, and let it go at another."""
        left, top = await self.evaluate(_FRAME_PLACE) if in_frame else (0, 0)
        for kind, (x, y) in (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            await self._call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=left + x,
                y=top + y,
                button="left",
                buttons=1,
                clickCount=1,
            )

    async def press(self, key: str) -> None:
        """Press a key that writes a letter."""
        for kind in ("keyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", type=kind, key=key, text=key)

    async def _frame(self) -> int:
        if self._in_frame is None:
            tree = (await self._call("Page.getFrameTree"))["frameTree"]
            (frame,) = tree["childFrames"]
            world = await self._call("Page.createIsolatedWorld", frameId=frame["frame"]["id"])
            self._in_frame = int(world["executionContextId"])
        return self._in_frame

    async def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        message = await answer_to(self._socket, next(self._numbers), method, parameters)
        return dict(message["result"])


@asynccontextmanager
async def running_page(browser: str, profile: Path) -> AsyncIterator[ChromiumPage]:
    """Run the browser with a profile of its own and give its first page. It ends with the context.

    Args:
        browser: The program.
        profile: An empty directory.
    """
    flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"]
    # Root has no sandbox in it; there is no GPU and no sound card; a small /dev/shm ends pages.
    flags += ["--no-sandbox", "--disable-gpu", "--mute-audio", "--disable-dev-shm-usage"]
    flags += ["--autoplay-policy=no-user-gesture-required", "--disable-background-networking"]
    with (profile.parent / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            browser, *flags, "about:blank", stdout=log, stderr=log, start_new_session=True
        )
    try:
        port = (await written_by(process, profile / "DevToolsActivePort")).splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = await answer.json()
            address = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield ChromiumPage(socket)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(END_SECONDS):
            await process.wait()

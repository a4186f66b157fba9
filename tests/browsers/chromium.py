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

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 60
_ANSWER_SECONDS = 60
_END_SECONDS = 20


class BrowserError(Exception):
    """The browser does not start, or what runs in its page failed."""


def program() -> str | None:
    """Find the browser."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def open(self, url: str) -> None:
        """Load a page."""
        await self._call("Page.enable")
        await self._call("Page.navigate", url=url)
        await self.evaluate(
            "new Promise(done => document.readyState === 'complete' ? done()"
            " : addEventListener('load', () => done()))"
        )

    async def evaluate(self, script: str) -> Any:
        """Run a script in the page; wait for its promise.

        Raises:
            BrowserError: It threw.
        """
        answer = await self._call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise BrowserError(f"the script failed: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == number:
                    if "error" in message:
                        raise BrowserError(f"{method}: {message['error']}")
                    return dict(message["result"])


@asynccontextmanager
async def running_page(browser: str, profile: Path) -> AsyncIterator[Page]:
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
        port = await _port(process, profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = await answer.json()
            address = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()


async def _port(process: asyncio.subprocess.Process, profile: Path) -> int:
    """Wait until the browser has written down on which port it listens."""
    written = profile / "DevToolsActivePort"
    async with asyncio.timeout(_START_SECONDS):
        while not written.exists() or not (text := written.read_text()).strip():
            if process.returncode is not None:
                log = (profile.parent / "browser.log").read_text(errors="replace")
                raise BrowserError(f"the browser ended with {process.returncode}: {log[-2000:]}")
            await asyncio.sleep(0.05)
    return int(text.splitlines()[0])

"""What a test needs of a browser, whichever it is, and how one talks to it: JSON over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp

START_SECONDS = 60
END_SECONDS = 20
_ANSWER_SECONDS = 120


class BrowserError(Exception):
    """The browser does not start, or what runs in its page failed."""


Point = Sequence[float]
"""Pixels from the left and from the top."""


class Page(Protocol):
    """One page of a browser."""

    async def open(self, url: str) -> None:
        """Load a page."""

    async def evaluate(self, script: str, *, in_frame: bool = False) -> Any:
        """Run a script in the page or in the only frame in it; wait for its promise."""

    async def drag(self, begin: Point, end: Point, *, in_frame: bool = False) -> None:
        """Press the mouse at one place of the page or of its frame, and let it go at another."""

    async def press(self, key: str) -> None:
        """Press a key that writes a letter."""


async def answer_to(
    socket: aiohttp.ClientWebSocketResponse, number: int, method: str, parameters: Mapping[str, object]
) -> dict[str, Any]:
    """Send a command and wait for its answer; events in between are of no interest.

    Raises:
        BrowserError: The browser refuses.
    """
    await socket.send_json({"id": number, "method": method, "params": parameters})
    async with asyncio.timeout(_ANSWER_SECONDS):
        while True:
            message = await socket.receive_json()
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message}")
                return dict(message)


async def written_by(process: asyncio.subprocess.Process, path: Path) -> str:
    """Wait until a browser has written down where it listens.

    Raises:
        BrowserError: It ended instead.
    """
    async with asyncio.timeout(START_SECONDS):
        while not (text := await asyncio.to_thread(_text, path)):
            if process.returncode is not None:
                log = await asyncio.to_thread(_text, path.parent.parent / "browser.log")
                raise BrowserError(f"the browser ended with {process.returncode}: {log[-2000:]}")
            await asyncio.sleep(0.05)
    return text


def _text(path: Path) -> str:
    return path.read_text(errors="replace").strip() if path.exists() else ""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.browsers import chromium, firefox
from tests.browsers.page import Page
from tests.browsers.shown_buffer import ShownBuffer
from tests.media.conftest import ask, buffer, healthy_run, made_runs

__all__ = ["ask", "buffer", "healthy_run", "made_runs"]

HERE = Path(__file__).parent


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A page of Chromium that shows the player; the clips of `tmp_path/archive` lie beside it."""
    browser = chromium.program()
    if browser is None:
        pytest.skip(f"none of {', '.join(chromium.PROGRAMS)} is installed (Debian: apt install chromium)")
    async with (
        player_address(tmp_path / "archive") as url,
        chromium.running_page(browser, _profile(tmp_path)) as shown,
    ):
        await shown.open(url)
        yield shown


@pytest.fixture
async def firefox_page(tmp_path: Path) -> AsyncIterator[Page]:
    """The same in Firefox, which `make setup` does not install."""
    browser = firefox.program()
    if browser is None:
        pytest.skip("on demand: Firefox is not installed (Debian: apt install firefox-esr)")
    async with (
        player_address(tmp_path / "archive") as url,
        firefox.running_page(browser, _profile(tmp_path)) as shown,
    ):
        await shown.open(url)
        yield shown


@pytest.fixture(params=["chromium", "firefox"])
async def browser_page(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Page]:
    """An empty page of each browser."""
    driver, package = {"chromium": (chromium, "chromium"), "firefox": (firefox, "firefox-esr")}[request.param]
    browser = driver.program()
    if browser is None:
        pytest.skip(f"{request.param} is not installed (Debian: apt install {package})")
    async with driver.running_page(browser, _profile(tmp_path)) as shown:
        yield shown


@pytest.fixture
async def page_of_chromium(tmp_path: Path) -> AsyncIterator[Page]:
    """An empty page."""
    browser = chromium.program()
    if browser is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    async with chromium.running_page(browser, _profile(tmp_path)) as empty:
        yield empty


@pytest.fixture
async def shown(tmp_path: Path) -> AsyncIterator[ShownBuffer]:
    """The preview of a buffer in which nothing is yet."""
    buffer = ShownBuffer(tmp_path)
    await buffer.start()
    yield buffer
    await buffer.stop()


@asynccontextmanager
async def player_address(clips: Path) -> AsyncIterator[str]:
    """Serve the player and some clips; ranges are answered, as by any object store."""
    app = web.Application()
    app.router.add_get("/", _file("player.html"))
    app.router.add_get("/counter.js", _file("counter.js"))
    app.router.add_static("/clips", clips)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _file(name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(HERE / name)

    return answer


def _profile(tmp_path: Path) -> Path:
    profile = tmp_path / "profile"
    profile.mkdir()
    return profile

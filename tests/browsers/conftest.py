from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.browsers.chromium import PROGRAMS, Page, program, running_page
from tests.media.conftest import ask, buffer, healthy_run, made_runs

__all__ = ["ask", "buffer", "healthy_run", "made_runs"]

PLAYER = Path(__file__).with_name("player.html")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A page of a real browser that shows the player; the clips of `tmp_path/archive` lie beside it."""
    browser = program()
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(PROGRAMS)} is installed (Debian: apt install chromium)")
    app = web.Application()
    app.router.add_get("/", _player)
    # Answers ranges, as any object store and nginx do.
    app.router.add_static("/clips", tmp_path / "archive")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        profile = tmp_path / "profile"
        profile.mkdir()
        async with running_page(browser, profile) as shown:
            port = runner.addresses[0][1]
            await shown.open(f"http://127.0.0.1:{port}/")
            yield shown
    finally:
        await runner.cleanup()


async def _player(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(PLAYER)

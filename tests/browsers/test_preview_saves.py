"""From the marks in the page to the clip, with the application of docs/preview.md in between."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from replay_operator.api.capture_job import CaptureRequest
from replay_operator.api.replaycapture import ReplayCaptureSpec
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.controller.preview_api import preview_api
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings
from tests.agent.process import free_port
from tests.agent.rig import BUFFER
from tests.browsers.page import Page
from tests.browsers.shown_buffer import UID, ShownBuffer
from tests.browsers.viewer import VIEWER
from tests.builders import buffer_body
from tests.media.clip_reader import shown_frames
from tests.media.segment_maker import STARTED_AT
from tests.media.wall_clock import SHAPES, made_clip

ROOT = Path(__file__).parents[2]
START = STARTED_AT.timestamp()
TOKEN = "a-token-of-the-back-end"
RUN = "20261122T140000Z-ab12cd34"


def documented_page() -> str:
    (page,) = re.findall(r"```html\n(.*?)```", (ROOT / "docs" / "preview.md").read_text(), re.DOTALL)
    return str(page)


@dataclass
class Cluster:
    """The API server, as far as the preview API asks it."""

    made: list[dict[str, Any]] = field(default_factory=list)

    async def named(self, type_: ResourceType, namespace: str, name: str) -> dict[str, Any] | None:
        assert (type_, name) == (BUFFERS, "alice-screen")
        return buffer_body() | {"metadata": {"name": name, "uid": UID}}

    async def create(self, type_: ResourceType, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        assert type_ == CAPTURES
        self.made.append(body)
        return body | {"metadata": {"name": "alice-screen-x7k2p"}}


@dataclass
class Application:
    """Somebody's application: a page, and a back end that has the token of the operator's API."""

    session: aiohttp.ClientSession
    api_url: str
    port: int
    may_save: bool = True
    may_look_on: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_post("/replay/{what}", self._ask)
        return app

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=documented_page(), content_type="text/html")

    async def _ask(self, request: web.Request) -> web.Response:
        body = await request.json()
        what = request.match_info["what"]
        if what == "save":
            self.asked.append(body)
            if not self.may_save:
                raise web.HTTPForbidden(text="you may only look")
        if what == "address" and not self.may_look_on:
            raise web.HTTPForbidden(text="you have looked for long enough")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        path = "captures" if what == "save" else "preview"
        async with self.session.post(
            f"{self.api_url}/v1/buffers/alice-screen/{path}", json=body, headers=headers
        ) as answer:
            return web.Response(text=await answer.text(), status=answer.status)


@dataclass
class Installed:
    shown: ShownBuffer
    cluster: Cluster
    application: Application

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.application.port}/"


@pytest.fixture
def address_seconds() -> int:
    """How long an address is good: longer than any test here."""
    return 900


@pytest.fixture
async def installed(
    tmp_path: Path, made_runs: Callable[[str], Path], address_seconds: int
) -> AsyncIterator[Installed]:
    app_port, api_port = free_port(), free_port()
    shown, cluster = ShownBuffer(tmp_path, origins=[f"http://127.0.0.1:{app_port}"]), Cluster()
    async with AsyncExitStack() as stack:
        await shown.record(made_runs("first"), SHAPES["first"], name=RUN)
        await shown.start()
        stack.push_async_callback(shown.stop)
        secrets = tmp_path / "agent-token"
        (secrets / "token").write_text(TOKEN)
        settings = OperatorSettings(
            POD_NAMESPACE="team",
            capture_image="image",
            agent_token_directory=secrets,
            preview_api_token_directory=secrets,
            preview_api_port=api_port,
            preview_url=shown.url,
            preview_address_seconds=address_seconds,
        )
        await stack.enter_async_context(
            preview_api(settings, cluster, lambda: datetime.now(UTC), OperatorMetrics())
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        application = Application(session, f"http://127.0.0.1:{api_port}", app_port)
        runner = web.AppRunner(application.app(), access_log=None)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", app_port).start()
        yield Installed(shown, cluster, application)


async def look_into_frame(page: Page, installed: Installed) -> None:
    await page.open(installed.url)
    await page.evaluate(
        "new Promise(done => document.querySelector('iframe').addEventListener('load', () => done()))"
    )
    await page.evaluate(VIEWER, in_frame=True)
    await page.evaluate("until(() => video.currentTime > 0 && video.readyState >= 2)", in_frame=True)
    await page.evaluate("pause()", in_frame=True)


async def click(page: Page, script: str) -> None:
    """Press the mouse on a place inside the frame."""
    at = await page.evaluate(script, in_frame=True)
    await page.drag(at, at, in_frame=True)


async def test_what_is_marked_in_the_page_becomes_the_clip_between_the_marks(
    browser_page: Page, installed: Installed, tmp_path: Path
) -> None:
    await look_into_frame(browser_page, installed)
    assert await browser_page.evaluate("document.getElementById('save').disabled", in_frame=True)

    begin, end = 3.3, 8.7
    await click(browser_page, f"(expectPicture(), onBar({START + begin}))")
    first = await browser_page.evaluate("seen()", in_frame=True)
    await click(browser_page, "middle('mark-in')")
    await click(browser_page, f"(expectPicture(), onBar({START + end}))")
    last = await browser_page.evaluate("seen()", in_frame=True)
    await click(browser_page, "middle('mark-out')")
    await click(browser_page, "middle('save')")
    await browser_page.evaluate("until(() => message() === 'Saved as alice-screen-x7k2p.')", in_frame=True)

    (made,) = installed.cluster.made
    marked = ReplayCaptureSpec.model_validate(made["spec"]).range.between
    assert marked is not None
    assert installed.application.asked[0]["buffer"] == UID
    assert marked.start.timestamp() == pytest.approx(first["at"], abs=0.002)
    assert marked.end.timestamp() == pytest.approx(last["at"], abs=0.002)
    archive = tmp_path / "clips"
    archive.mkdir()
    path, clip = made_clip(
        CaptureRequest(
            capture_uid="uid-1",
            buffer_directory=str(tmp_path / "buffer" / BUFFER),
            start=marked.start,
            end=marked.end,
            archive_directory=str(archive),
            clip_path="team/alice/2026-11-22/clip-1a2b3c4d.mp4",
        )
    )
    pictures = [picture.number for picture in shown_frames(path)]
    # The clip begins with the first picture at or after the mark, which may be the one behind what was seen.
    assert pictures[0] - first["number"] in range(-1, 3)
    # It ends at the first clean cut at or after the other mark: up to three pictures later.
    assert pictures[-1] - last["number"] in range(-1, 5)
    assert clip.milliseconds == pytest.approx((end - begin) * 1000, abs=150)


async def test_what_the_application_refuses_is_told_in_the_page_and_makes_nothing(
    page_of_chromium: Page, installed: Installed
) -> None:
    installed.application.may_save = False
    await look_into_frame(page_of_chromium, installed)
    await click(page_of_chromium, f"(expectPicture(), onBar({START + 2}))")
    await page_of_chromium.evaluate("seen()", in_frame=True)
    await click(page_of_chromium, "middle('mark-in')")
    await click(page_of_chromium, f"(expectPicture(), onBar({START + 5}))")
    await page_of_chromium.evaluate("seen()", in_frame=True)
    await click(page_of_chromium, "middle('mark-out')")
    await click(page_of_chromium, "middle('save')")
    await page_of_chromium.evaluate(
        "until(() => message() === 'Not saved: you may only look.')", in_frame=True
    )
    assert installed.cluster.made == []


EXPIRES = (
    "performance.getEntriesByType('resource')"
    ".map(({name}) => Number(new URL(name).searchParams.get('expires'))).filter(Boolean)"
)
"""When the addresses end that the page has used."""


@pytest.mark.parametrize("address_seconds", [10])
async def test_the_page_asks_for_another_address_before_its_own_ends_and_goes_on_with_that(
    browser_page: Page, installed: Installed
) -> None:
    await look_into_frame(browser_page, installed)
    await browser_page.evaluate(f"until(() => new Set({EXPIRES}).size > 1)", in_frame=True)

    # The agent's clock stands still: now the first address has ended there, and no other.
    first = await browser_page.evaluate(f"Math.min(...{EXPIRES})", in_frame=True)
    clock = installed.shown.clock
    clock.advance(first + 1 - clock.now().timestamp())

    # It has begun near the newest segment, and has none of the first one.
    await click(browser_page, f"(expectPicture(), onBar({START + 1}))")
    seen = await browser_page.evaluate("seen()", in_frame=True)
    assert (seen["at"] - START) * 30 == pytest.approx(seen["number"], abs=2)
    assert await browser_page.evaluate("message()", in_frame=True) == ""


@pytest.mark.parametrize("address_seconds", [10])
async def test_the_page_says_when_its_address_ends_and_why_it_gets_no_other(
    page_of_chromium: Page, installed: Installed
) -> None:
    installed.application.may_look_on = False
    await look_into_frame(page_of_chromium, installed)
    await page_of_chromium.evaluate(
        "until(() => /^This address ends at .+: you have looked for long enough[.]$/.test(message()))",
        in_frame=True,
    )


async def test_keys_mark_and_a_mark_can_be_dragged_and_without_an_application_the_page_tells_the_times(
    page_of_chromium: Page, shown: ShownBuffer, made_runs: Callable[[str], Path]
) -> None:
    await shown.record(made_runs("first"), SHAPES["first"], name=RUN)
    await page_of_chromium.open(shown.page())
    await page_of_chromium.evaluate(VIEWER)
    await page_of_chromium.evaluate("until(() => video.currentTime > 0 && video.readyState >= 2)")
    await page_of_chromium.evaluate("pause()")
    await page_of_chromium.press("o")
    at = await page_of_chromium.evaluate(f"(expectPicture(), onBar({START + 2}))")
    await page_of_chromium.drag(at, at)
    await page_of_chromium.evaluate("seen()")
    await page_of_chromium.press("i")
    await page_of_chromium.drag(
        await page_of_chromium.evaluate("middle('in')"),
        await page_of_chromium.evaluate(f"onBar({START + 4})"),
    )
    save = await page_of_chromium.evaluate("middle('save')")
    await page_of_chromium.drag(save, save)
    await page_of_chromium.evaluate("until(() => message().startsWith('No application'))")
    told = re.search(r"from (\S+Z) to (\S+Z)\.$", await page_of_chromium.evaluate("message()"))
    assert told is not None
    begin, end = (datetime.fromisoformat(found).timestamp() - START for found in told.groups())
    assert begin == pytest.approx(4, abs=0.05), "a pixel of the bar is 16 ms"
    assert begin < end <= 12


async def test_an_image_without_the_library_says_so_in_the_page(
    page_of_chromium: Page, tmp_path: Path
) -> None:
    shown = ShownBuffer(tmp_path / "shown", player=tmp_path / "nothing.js")
    await shown.start()
    await page_of_chromium.open(shown.page())
    await page_of_chromium.evaluate(VIEWER)
    await page_of_chromium.evaluate("until(() => message().includes('hls.js is not in this image'))")
    await shown.stop()

"""The page over HTTP: what it may load, who may show it in a frame, and that it needs no address."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.parts import make_preview
from replay_operator.agent.settings import AgentSettings
from tests.agent.rig import Client, Rig

APP = "https://app.example.org"


@dataclass
class Visitor:
    client: Client

    async def get(self, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get(path, headers=names) as answer:
            return answer.status, await answer.text(), dict(answer.headers)


async def visitor_of(rig: Rig, *, origins: str = "", player: Path | None = None) -> Visitor:
    settings = AgentSettings(
        volume=rig.volume,
        archive=rig.archive,
        token_directory=rig.token_directory,
        preview_origins=origins,
        preview_player=player or rig.volume / "no-player.js",
    )
    preview = make_preview(rig.agent, settings, rig.clock)
    client: Client = TestClient(TestServer(make_preview_app(preview), host="127.0.0.1"))
    await client.start_server()
    return Visitor(client)


@pytest.fixture
async def visitor(rig: Rig, tmp_path: Path) -> AsyncIterator[Visitor]:
    player = tmp_path / "library.js"
    player.write_text("the library")
    made = await visitor_of(rig, origins=f"{APP},http://localhost:3000", player=player)
    yield made
    await made.client.close()


async def test_the_page_and_all_that_it_names_are_there(visitor: Visitor) -> None:
    status, page, headers = await visitor.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "hls.js" in named
    for name in named:
        status, text, headers = await visitor.get(f"/{name}")
        assert status == 200, name
        assert headers["X-Content-Type-Options"] == "nosniff"
        for imported in re.findall(r"from '\./([^']+)'", text):
            assert (await visitor.get(f"/{imported}"))[0] == 200, imported
    assert (await visitor.get("/hls.js"))[1] == "the library"


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_that_is_written_into_it(
    visitor: Visitor,
) -> None:
    for path in ("/", "/page.js", "/hls.js"):
        _, text, headers = await visitor.get(path)
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert policy["frame-ancestors"] == f"http://localhost:3000 {APP}"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert not re.search(r"\bon[a-z]+=|style=|javascript:|https?://", text)


async def test_nobody_may_show_the_page_in_a_frame_who_is_not_named(rig: Rig) -> None:
    made = await visitor_of(rig)
    assert "frame-ancestors 'none'" in (await made.get("/"))[2]["Content-Security-Policy"]
    assert (await made.get("/settings.json"))[1] == '{"origins": []}'
    await made.client.close()


async def test_a_browser_that_has_a_file_is_not_sent_it_again(visitor: Visitor) -> None:
    _, text, headers = await visitor.get("/hls.js")
    assert headers["Cache-Control"] == "no-cache"
    assert (await visitor.get("/hls.js", If_None_Match=headers["Etag"]))[:2] == (304, "")
    assert (await visitor.get("/hls.js", If_None_Match='"another"'))[:2] == (200, text)


async def test_without_the_library_everything_else_is_there_and_the_log_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    made = await visitor_of(rig)
    assert (await made.get("/"))[0] == 200
    assert (await made.get("/hls.js"))[0] == 404
    assert "no hls.js at" in caplog.text
    await made.client.close()


@pytest.mark.parametrize(
    "path", ["/index.html", "/other.js", "/..%2fparts.py", "/page%2fpage.js", "/page.py"]
)
async def test_only_the_files_of_the_page_are_served(visitor: Visitor, path: str) -> None:
    assert (await visitor.get(path))[0] == 404

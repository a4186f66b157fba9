"""What is counted of the preview: how often which question was answered how, and what memory saved."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.figures import LOOKED_SECONDS
from replay_operator.domain.signed_address import Scope
from tests.agent.rig import Rig
from tests.agent.test_preview import (
    CLIP,
    PLAYLIST,
    SEGMENT,
    UID,
    Viewer,
    keep_clip,
    open_media,
    record,
    viewer_of,
)


@pytest.fixture(params=[False, True], ids=["local", "network"])
async def viewer(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Viewer]:
    made = await viewer_of(rig, over_network=request.param)
    yield made
    await made.client.close()


async def requests(rig: Rig) -> dict[tuple[str, str], float]:
    """How many there were of each sort, those that never came left out."""
    metrics = await rig.metrics()
    sorts = {
        (what, result): metrics[f'replay_agent_preview_requests_total{{result="{result}",what="{what}"}}']
        for what in ("playlist", "segment", "clip", "other")
        for result in ("ok", "refused", "missing", "invalid", "failed")
    }
    return {sort: number for sort, number in sorts.items() if number}


async def test_each_request_is_counted_by_what_it_asked_for_and_what_came_of_it(
    rig: Rig, viewer: Viewer
) -> None:
    await record(rig, 3)
    keep_clip(rig)

    await viewer.playlist()
    await viewer.get(PLAYLIST, "expires=1&signature=none")
    await viewer.get(PLAYLIST, viewer.query() + "&start=yesterday")
    await viewer.get(SEGMENT)
    await viewer.get(SEGMENT.replace("00001", "00099"))
    await viewer.clip()
    await viewer.clip(Range="bytes=0-9")
    await viewer.clip(Range="bytes=999999-")
    await viewer.get("/v1/clips/elsewhere.mp4", viewer.query(Scope("clip", "elsewhere.mp4")))
    await viewer.get("/v1/coverage")
    rig.agent.scanner.scanned_at = None
    await viewer.get(PLAYLIST)

    assert await requests(rig) == {
        ("playlist", "ok"): 1,
        ("playlist", "refused"): 1,
        ("playlist", "invalid"): 1,
        ("playlist", "failed"): 1,
        ("segment", "ok"): 1,
        ("segment", "missing"): 1,
        ("clip", "ok"): 2,
        ("clip", "invalid"): 1,
        ("clip", "missing"): 1,
        ("other", "missing"): 1,
    }


async def test_nobody_makes_a_label_of_his_own(rig: Rig, viewer: Viewer) -> None:
    before = (await rig.metrics()).keys()
    for path in (f"/v1/preview/{UID}x/playlist.m3u8", f"/v1/clips/{CLIP}x", "/more", SEGMENT):
        await viewer.get(path)
    assert (await rig.metrics()).keys() == before


async def test_a_buffer_counts_as_looked_at_for_a_minute_however_many_look(rig: Rig, viewer: Viewer) -> None:
    async def looked_at() -> float:
        return (await rig.metrics())["replay_agent_preview_buffers"]

    await record(rig, 3)
    await viewer.get(PLAYLIST, "expires=1&signature=none")
    assert await looked_at() == 0
    for _ in range(3):
        await viewer.playlist()
    assert await looked_at() == 1
    rig.clock.advance(LOOKED_SECONDS - 1)
    await viewer.get(SEGMENT)
    rig.clock.advance(LOOKED_SECONDS - 1)
    assert await looked_at() == 1
    rig.clock.advance(1)
    assert await looked_at() == 0


async def test_who_shows_nothing_says_so(rig: Rig) -> None:
    shown = {name: value for name, value in (await rig.metrics()).items() if "_preview_" in name}
    assert shown
    assert not any(value for name, value in shown.items() if "_created" not in name)


async def test_memory_counts_what_it_saves_and_what_it_takes(rig: Rig) -> None:
    viewer = await viewer_of(rig, over_network=True)
    directory = await record(rig, 3)
    try:
        for _ in range(3):
            await viewer.get(SEGMENT)
    finally:
        await viewer.client.close()

    metrics = await rig.metrics()
    asked = {
        result: metrics[f'replay_agent_preview_hot_segments_total{{result="{result}"}}']
        for result in ("hit", "shared", "miss")
    }
    assert asked == {"hit": 2, "shared": 0, "miss": 1}
    assert metrics["replay_agent_preview_memory_bytes"] == (directory / "seg_00001.ts").stat().st_size


@pytest.mark.parametrize("what", ["clip", "segment"])
async def test_a_viewer_who_goes_away_midway_is_no_failure(
    rig: Rig, viewer: Viewer, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory = await record(rig, 3)
    keep_clip(rig)
    large = directory / "seg_00001.ts" if what == "segment" else rig.archive / CLIP
    os.truncate(large, 48_000_000)
    await rig.agent.scan()
    scope, path = (Scope("clip", CLIP), f"/v1/clips/{CLIP}") if what == "clip" else (None, SEGMENT)
    # As the agent's process runs it: the server of the tests cancels what the agent lets go on.
    runner = web.AppRunner(make_preview_app(viewer.preview), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    reader, writer = await asyncio.open_connection(*runner.addresses[0])
    writer.write(f"GET {path}?{viewer.query(scope)} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b"200 OK" in await reader.readline()
    writer.transport.abort()

    await until_nothing_is_sent(viewer)
    assert await requests(rig) == {(what, "ok"): 1}
    assert [found for found in caplog.records if found.levelname == "ERROR"] == []
    await runner.cleanup()


async def until_nothing_is_sent(viewer: Viewer) -> None:
    end = time.monotonic() + 10
    while open_media() or (viewer.preview.hot is not None and viewer.preview.hot.lent_bytes):
        assert time.monotonic() < end, open_media()
        await asyncio.sleep(0.01)

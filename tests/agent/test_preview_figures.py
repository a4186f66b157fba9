"""What is counted of the preview: how often which question was answered how, and what memory saved."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from replay_operator.agent.preview.figures import LOOKED_SECONDS
from replay_operator.domain.signed_address import Scope
from tests.agent.rig import Rig
from tests.agent.test_preview import CLIP, PLAYLIST, SEGMENT, UID, Viewer, keep_clip, record, viewer_of


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

"""The adapter against the double of LiveKit, which records: what the real server alone cannot show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from replay_operator.api.replaybuffer import AdvancedEncoding, Encoding
from replay_operator.domain.egress import Egress, EgressState, RecordedPair, StartRequest, TrackKind
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.errors import (
    BadEgressRequest,
    EgressWorkerSilent,
    LiveKitFailed,
    LiveKitUnreachable,
    NoEgressCapacity,
)
from replay_operator.livekit.poller import SnapshotPoller
from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.server.faults import Fault, FaultKind

ROOM = "standup"
SMALL = Encoding(advanced=AdvancedEncoding(width=320, height=180, framerate=15, video_kbps=200))
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.05


@pytest.fixture
async def adapter(livekit_double: DoubleInProcess) -> AsyncIterator[LiveKitAdapter]:
    livekit_double.rooms.join(ROOM, "alice", ["SCREEN_SHARE", "SCREEN_SHARE_AUDIO"])
    adapter = adapter_to(livekit_double)
    yield adapter
    await adapter.aclose()


def adapter_to(double: DoubleInProcess, *, start_timeout_seconds: float = 30) -> LiveKitAdapter:
    return LiveKitAdapter(
        aiohttp.ClientSession(),
        url=double.url,
        api_key=double.api_key,
        api_secret=double.api_secret,
        start_timeout_seconds=start_timeout_seconds,
    )


async def a_start(adapter: LiveKitAdapter, directory: Path) -> StartRequest:
    participants = await adapter.participants(ROOM)
    assert participants is not None
    (alice,) = (each for each in participants if each.identity == "alice")
    sids = {track.kind: track.sid for track in alice.tracks}
    return StartRequest(
        room=ROOM,
        tracks=RecordedPair(video=sids[TrackKind.VIDEO], audio=sids[TrackKind.AUDIO]),
        filename_prefix=f"{directory}/seg",
        segment_seconds=2,
        encoding=SMALL,
    )


async def eventually(look: Callable[[], Awaitable[Egress | None]]) -> Egress:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            seen = await look()
            if seen is not None:
                return seen
            await asyncio.sleep(POLL_SECONDS)


async def in_state(adapter: LiveKitAdapter, egress_id: str, state: EgressState) -> Egress:
    async def look() -> Egress | None:
        egress = await adapter.get_egress(egress_id)
        return egress if egress is not None and egress.state is state else None

    return await eventually(look)


async def test_an_egress_goes_from_starting_to_complete(adapter: LiveKitAdapter, tmp_path: Path) -> None:
    request = await a_start(adapter, tmp_path)
    started = await adapter.start(request)
    assert started.state is EgressState.STARTING
    assert (started.room, started.filename_prefix) == (ROOM, request.filename_prefix)
    assert (started.video_track, started.audio_track) == (request.tracks.video, request.tracks.audio)
    active = await in_state(adapter, started.id, EgressState.ACTIVE)
    assert active.media_started_at is not None
    assert [each.id for each in await adapter.list_active()] == [started.id]
    await adapter.stop(started.id)
    complete = await in_state(adapter, started.id, EgressState.COMPLETE)
    assert complete.details == "End reason: StopEgress API"
    assert complete.ended_at_ns > active.media_started_at_ns
    assert await adapter.list_active() == ()


async def test_stopping_an_egress_twice_is_no_error(adapter: LiveKitAdapter, tmp_path: Path) -> None:
    started = await adapter.start(await a_start(adapter, tmp_path))
    await in_state(adapter, started.id, EgressState.ACTIVE)
    await adapter.stop(started.id)
    await in_state(adapter, started.id, EgressState.COMPLETE)
    await adapter.stop(started.id)


async def test_the_egress_of_a_dead_worker_stays_in_the_list_and_cannot_be_stopped(
    livekit_double: DoubleInProcess, adapter: LiveKitAdapter, tmp_path: Path
) -> None:
    started = await adapter.start(await a_start(adapter, tmp_path))
    await in_state(adapter, started.id, EgressState.ACTIVE)
    await livekit_double.workers[0].die()
    with pytest.raises(EgressWorkerSilent, match=started.id):
        await adapter.stop(started.id)
    assert [(each.id, each.state) for each in await adapter.list_active()] == [
        (started.id, EgressState.ACTIVE)
    ]


async def test_a_full_fleet_is_a_lack_of_capacity(adapter: LiveKitAdapter, tmp_path: Path) -> None:
    request = await a_start(adapter, tmp_path)
    with pytest.raises(NoEgressCapacity):  # noqa: PT012 - which of the starts is one too many is the double's business
        for run in range(10):
            await adapter.start(replace(request, filename_prefix=f"{tmp_path}/{run}/seg"))


async def test_a_participant_is_seen_with_tracks_and_their_sources(adapter: LiveKitAdapter) -> None:
    participants = await adapter.participants(ROOM)
    assert participants is not None
    (alice,) = participants
    assert alice.identity == "alice"
    assert {(track.kind, track.source, track.muted) for track in alice.tracks} == {
        (TrackKind.VIDEO, "SCREEN_SHARE", False),
        (TrackKind.AUDIO, "SCREEN_SHARE_AUDIO", False),
    }


async def test_a_start_whose_answer_is_lost_is_found_again_by_its_prefix(
    livekit_double: DoubleInProcess, adapter: LiveKitAdapter, tmp_path: Path
) -> None:
    request = await a_start(adapter, tmp_path)
    livekit_double.server.faults.add(Fault("StartTrackCompositeEgress", FaultKind.HOLD))
    hasty = adapter_to(livekit_double, start_timeout_seconds=1.0)
    try:
        with pytest.raises(LiveKitUnreachable) as lost:
            await hasty.start(request)
    finally:
        await hasty.aclose()
    assert lost.value.outcome_unknown

    async def look() -> Egress | None:
        mine = [e for e in await adapter.list_active() if e.filename_prefix == request.filename_prefix]
        return mine[0] if mine else None

    found = await eventually(look)
    await in_state(adapter, found.id, EgressState.ACTIVE)
    await adapter.stop(found.id)


async def test_a_connection_that_breaks_is_unreachable(
    livekit_double: DoubleInProcess, adapter: LiveKitAdapter
) -> None:
    livekit_double.server.faults.add(Fault("ListEgress", FaultKind.DISCONNECT))
    with pytest.raises(LiveKitUnreachable):
        await adapter.list_active()
    assert await adapter.list_active() == ()


async def test_an_internal_error_is_told_in_livekits_words(
    livekit_double: DoubleInProcess, adapter: LiveKitAdapter
) -> None:
    livekit_double.server.faults.add(Fault("ListEgress", FaultKind.ERROR, message="redis has gone"))
    with pytest.raises(LiveKitFailed, match="redis has gone"):
        await adapter.list_active()


async def test_a_start_without_tracks_is_a_bad_request(adapter: LiveKitAdapter, tmp_path: Path) -> None:
    request = StartRequest(
        room=ROOM,
        tracks=RecordedPair(video=None, audio=None),
        filename_prefix=f"{tmp_path}/seg",
        segment_seconds=2,
        encoding=SMALL,
    )
    with pytest.raises(BadEgressRequest, match="audio_track_id or video_track_id"):
        await adapter.start(request)


async def test_the_poller_sees_what_was_started_and_that_it_ended(
    adapter: LiveKitAdapter, tmp_path: Path
) -> None:
    changes: asyncio.Queue[frozenset[str]] = asyncio.Queue()
    poller = SnapshotPoller(
        adapter, changes.put_nowait, lambda: datetime.now(UTC), interval_seconds=0.1, gap_seconds=0.05
    )
    running = asyncio.create_task(poller.run())
    try:
        started = await adapter.start(await a_start(adapter, tmp_path))
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await changes.get() == {started.id}
            assert poller.snapshot.egresses[started.id].filename_prefix == started.filename_prefix
            await in_state(adapter, started.id, EgressState.ACTIVE)
            await adapter.stop(started.id)
            while started.id in poller.snapshot.egresses:
                assert await changes.get() == {started.id}
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

"""What the agent says lies on disk, while playlists grow, lag and break as the real ones do (§6.7, §6.8)."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.agent.rig import BUFFER, RUN, EgressWriter, Rig, after, make_rig


def about(wire: str, expected: datetime, tolerance_seconds: float = 0.05) -> bool:
    return abs(datetime.fromisoformat(wire) - expected) <= timedelta(seconds=tolerance_seconds)


async def last_index(rig: Rig) -> int | None:
    await rig.agent.scan()
    run = await rig.run_coverage()
    return None if run is None else int(run["lastIndex"])


async def test_coverage_is_not_complete_before_the_first_scan(rig: Rig) -> None:
    fresh = make_rig(rig.volume.parent / "buffer", rig.token_directory, rig.segments, rig.clock)

    assert fresh.agent.coverage().complete is False
    assert (await rig.coverage())["complete"] is True


async def test_coverage_tells_how_far_a_run_reaches_on_its_own_clock(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(5)
    await rig.agent.scan()

    (buffer,) = (await rig.coverage())["buffers"]
    (run,) = buffer["runs"]

    assert buffer["path"] == BUFFER
    assert buffer["bytes"] == sum(f.stat().st_size for f in writer.directory.glob("*.ts"))
    assert (run["run"], run["segments"], run["firstIndex"], run["lastIndex"]) == (RUN, 5, 0, 4)
    assert about(run["oldest"], after(0))
    assert about(run["newest"], after(10))
    assert about(run["arrivedAt"], after(12.65), 0.001)
    assert (run["ended"], run["clock"]) == (False, "StartedAt")


async def test_coverage_tells_by_how_much_a_runs_clock_has_moved(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(6)
    await rig.agent.scan()
    assert (await rig.run_coverage() or {})["clockShiftMilliseconds"] == pytest.approx(0, abs=50)

    writer.copy(*range(6, 12))
    for index in range(6, 12):
        file = writer.directory / f"seg_{index:05d}.ts"
        late_ns = file.stat().st_mtime_ns + 1_500_000_000
        os.utime(file, ns=(late_ns, late_ns))
    writer.list(range(12))
    await rig.agent.scan()
    assert (await rig.run_coverage() or {})["clockShiftMilliseconds"] == pytest.approx(1500, abs=50)


async def test_coverage_says_when_it_was_true(rig: Rig) -> None:
    await rig.agent.scan()
    scanned = rig.clock.now()
    rig.clock.advance(30)

    assert datetime.fromisoformat((await rig.coverage())["asOf"]) == scanned


async def test_a_growing_playlist_is_followed(rig: Rig) -> None:
    writer = await rig.put_run()
    assert await last_index(rig) is None
    for count in (1, 2, 5):
        writer.record(count)
        assert await last_index(rig) == count - 1


async def test_a_segment_that_no_playlist_names_is_not_complete(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(3)
    writer.copy(3)

    assert await last_index(rig) == 2
    rig.clock.advance(61)
    assert await last_index(rig) == 2
    assert (await rig.metrics())["replay_agent_segments"] == 4

    writer.list(range(4))
    assert await last_index(rig) == 3


async def test_the_live_playlist_counts_when_the_event_playlist_lags(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.copy(*range(9))
    writer.list(range(3), name="index.m3u8")
    writer.list(range(4, 9), name="live.m3u8")

    assert await last_index(rig) == 8


async def test_the_event_playlist_counts_when_the_live_one_lags(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.copy(*range(9))
    writer.list(range(9), name="index.m3u8")
    writer.list(range(5), name="live.m3u8")

    assert await last_index(rig) == 8


async def test_a_segment_between_two_lagging_playlists_is_complete(rig: Rig) -> None:
    # In neither playlist, but below the highest index: the worker writes in order (DESIGN §6.7).
    writer = await rig.put_run()
    writer.copy(*range(12))
    writer.list(range(3), name="index.m3u8")
    writer.list(range(7, 12), name="live.m3u8")
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    assert run["segments"] == 12


@pytest.mark.parametrize("broken", ["", "#EXTM3U\n", "#EXTM3U\n#EXTINF:2.000,\nseg_000", "\x00\xff garbage"])
async def test_what_was_seen_stays_seen_when_a_playlist_is_met_half_written(rig: Rig, broken: str) -> None:
    writer = await rig.put_run()
    writer.record(5)
    assert await last_index(rig) == 4

    writer.rewrite(broken)
    assert await last_index(rig) == 4

    writer.copy(5)
    writer.list(range(6))
    assert await last_index(rig) == 5


async def test_a_listed_segment_that_is_missing_is_taken_when_it_appears(rig: Rig) -> None:
    # A network disk may show the playlist before the segment.
    writer = await rig.put_run()
    writer.copy(0, 1)
    writer.list(range(3))
    assert await last_index(rig) == 1

    writer.copy(2)
    assert await last_index(rig) == 2


@pytest.mark.parametrize("content", [b"", b"\x47" * 100, b"not MPEG-TS" * 188])
async def test_a_listed_segment_that_is_no_mpeg_ts_is_not_covered_but_its_bytes_count(
    rig: Rig, content: bytes
) -> None:
    writer = await rig.put_run()
    writer.copy(0, 1)
    (writer.directory / "seg_00002.ts").write_bytes(content)
    writer.list(range(3))

    assert await last_index(rig) == 1
    assert (await rig.metrics())["replay_agent_segments"] == 3


async def test_a_segment_cut_short_in_a_cache_is_taken_when_it_is_whole(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.copy(0)
    (writer.directory / "seg_00001.ts").write_bytes(rig.segments[1].read_bytes()[:1000])
    writer.list(range(2))
    assert await last_index(rig) == 0

    writer.copy(1)
    assert await last_index(rig) == 1


async def test_an_absurd_index_in_a_playlist_costs_nothing(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.copy(0, 1)
    writer.list([0, 1, 99_999_999_999])

    assert await last_index(rig) == 1


async def test_a_run_has_ended_when_a_playlist_says_so(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(3, ended=True)
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    assert run["ended"] is True


async def test_each_segment_is_looked_into_once(rig: Rig) -> None:
    writer = await rig.put_run()
    for count in (3, 6, 9):
        writer.record(count)
        await rig.agent.scan()
        await rig.agent.scan()
    rig.clock.advance(61)
    await rig.agent.scan()

    assert sorted(rig.probe.looked_at) == [f"seg_{index:05d}.ts" for index in range(9)]


async def test_without_started_at_the_time_of_arrival_tells_the_clock(rig: Rig) -> None:
    writer = await rig.put_run(mediaStartedAtNs=None)
    writer.record(5)
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    assert run["clock"] == "Arrival"
    assert about(run["oldest"], after(0), 0.1)
    assert about(run["newest"], after(10), 0.1)


async def test_a_clock_that_becomes_known_is_used_from_then_on(rig: Rig) -> None:
    writer = await rig.put_run(mediaStartedAtNs=None)
    writer.record(2)
    await rig.agent.scan()

    await rig.put_run()

    run = await rig.run_coverage()
    assert run is not None
    assert run["clock"] == "StartedAt"


async def test_several_runs_of_several_buffers_are_told_apart(rig: Rig) -> None:
    other = "team-b/11111111-2222-3333-4444-555555555555"
    (await rig.put_run("run-1")).record(2, ended=True)
    (await rig.put_run("run-2")).record(3)
    (await rig.put_run("run-1", buffer=other)).record(4)
    await rig.agent.scan()

    buffers = (await rig.coverage())["buffers"]

    found = {(b["path"], r["run"]): (r["segments"], r["ended"]) for b in buffers for r in b["runs"]}
    assert found == {
        (BUFFER, "run-1"): (2, True),
        (BUFFER, "run-2"): (3, False),
        (other, "run-1"): (4, False),
    }


async def test_a_run_that_came_by_another_way_is_found_at_the_next_listing(rig: Rig) -> None:
    directory = rig.volume / BUFFER / RUN
    directory.mkdir(parents=True)
    EgressWriter(directory, rig.segments).record(3)
    assert await last_index(rig) is None

    rig.clock.advance(61)

    assert await last_index(rig) == 2


async def test_what_somebody_else_deleted_is_no_longer_covered_after_the_next_listing(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(4)
    await rig.agent.scan()
    (writer.directory / "seg_00000.ts").unlink()
    rig.clock.advance(61)
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    assert (run["firstIndex"], run["segments"]) == (1, 3)


async def test_links_and_foreign_names_on_the_volume_are_passed_over(rig: Rig) -> None:
    outside = rig.volume.parent / "outside" / "run"
    outside.mkdir(parents=True)
    EgressWriter(outside, rig.segments).record(2)
    (rig.volume / "team-a").mkdir()
    (rig.volume / "team-a" / "linked").symlink_to(outside.parent)
    (rig.volume / "lost+found" / "uid" / "run").mkdir(parents=True)
    (rig.volume / "a-file").write_text("")
    rig.clock.advance(61)
    await rig.agent.scan()

    assert (await rig.coverage())["buffers"] == []


async def test_a_playlist_that_is_a_link_hides_only_its_own_run(rig: Rig) -> None:
    bad = await rig.put_run("run-bad")
    bad.copy(0)
    (bad.directory / "index.m3u8").symlink_to("/etc/hostname")
    (await rig.put_run("run-good")).record(2)
    await rig.agent.scan()

    assert await rig.run_coverage("run-bad") is None
    assert await rig.run_coverage("run-good") is not None
    assert (await rig.metrics())["replay_agent_scan_errors_total"] >= 1


async def test_a_run_of_the_real_worker_is_covered_to_its_last_short_segment(rig: Rig) -> None:
    # Seven segments of 6 s and one of 0.8 s, stopped regularly.
    recording = Path(__file__).parents[1] / "data" / "livekit" / "run-320x180p15-6s"
    shutil.copytree(recording, rig.volume / BUFFER / RUN)
    await rig.put_run(segmentSeconds=6)
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    assert (run["segments"], run["lastIndex"], run["ended"]) == (8, 7, True)
    assert about(run["oldest"], after(0), 0.001)
    assert about(run["newest"], after(42.8), 0.001)

"""The index that the agent keeps in a run, and what agent and capture worker read from it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from replay_operator.domain.layout import INDEX_FILE
from replay_operator.media import runs as media_runs
from replay_operator.media.runs import read_run
from replay_operator.media.segment_index import IndexRecord, read_index
from replay_operator.media.selection import read_and_scan
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND
from replay_operator.media.ts_grid import TsGrid, program_tracks
from replay_operator.media.ts_pes import pes_heads, write_timestamp
from tests.agent.rig import BUFFER, RUN, EgressWriter, MovedClock, Rig, make_rig


@pytest.fixture
def index_file(rig: Rig) -> Path:
    return rig.volume / BUFFER / RUN / INDEX_FILE


async def recorded(rig: Rig, count: int) -> EgressWriter:
    writer = await rig.put_run()
    writer.record(count)
    await rig.agent.scan()
    return writer


async def restarted(rig: Rig) -> Rig:
    await rig.stop()
    fresh = make_rig(rig.volume, rig.token_directory, rig.segments, rig.clock)
    await fresh.start()
    await fresh.agent.scan()
    return fresh


def lines_of(index_file: Path, *, keep_ends: bool = False) -> list[bytes]:
    return [line for line in index_file.read_bytes().splitlines(keepends=keep_ends) if line.strip()]


def records_of(index_file: Path) -> dict[int, IndexRecord]:
    return read_index(index_file.read_bytes())


def exists(path: Path) -> bool:
    return path.exists()


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def damage(index_file: Path, content: Callable[[bytes], bytes]) -> None:
    index_file.write_bytes(content(index_file.read_bytes()))


def replace_by_later_ones(writer: EgressWriter, indices: range) -> None:
    """What retention and a worker do to a run in a long time."""
    for old in writer.directory.glob("seg_*.ts"):
        old.unlink()
    for index in indices:
        content = writer.segments[index % len(writer.segments)].read_bytes()
        (writer.directory / f"seg_{index:05d}.ts").write_bytes(content)
    writer.list(indices)


async def covered(rig: Rig) -> list[int]:
    run = await rig.run_coverage()
    return [] if run is None else [run["firstIndex"], run["lastIndex"], run["segments"]]


async def test_each_arriving_segment_is_written_down_once(rig: Rig, index_file: Path) -> None:
    writer = await recorded(rig, 3)
    writer.record(6)
    await rig.agent.scan()
    rig.clock.advance(61)
    await rig.agent.scan()

    assert len(lines_of(index_file)) == 6
    assert sorted(records_of(index_file)) == [0, 1, 2, 3, 4, 5]


async def test_an_agent_that_starts_again_reads_the_index_and_no_segment(rig: Rig) -> None:
    await recorded(rig, 6)
    before = await rig.run_coverage()

    fresh = await restarted(rig)

    assert fresh.probe.looked_at == []
    assert await fresh.run_coverage() == before
    await fresh.stop()


async def test_after_a_restart_only_what_changed_or_came_is_looked_into(rig: Rig, index_file: Path) -> None:
    writer = await recorded(rig, 6)
    os.utime(writer.directory / "seg_00002.ts", ns=(1, 1))
    writer.copy(6)
    writer.list(range(7))

    fresh = await restarted(rig)

    assert sorted(fresh.probe.looked_at) == ["seg_00002.ts", "seg_00006.ts"]
    assert records_of(index_file)[2].stamp.modified_at_ns == 1
    await fresh.stop()


@pytest.mark.parametrize("kept_bytes", [1, 100, 300])
async def test_what_a_crash_tore_off_is_scanned_and_written_again(
    rig: Rig, index_file: Path, kept_bytes: int
) -> None:
    await recorded(rig, 6)
    damage(index_file, lambda content: content[:kept_bytes])

    fresh = await restarted(rig)

    assert await covered(fresh) == [0, 5, 6]
    assert sorted(records_of(index_file)) == [0, 1, 2, 3, 4, 5]
    await fresh.stop()


async def test_an_index_of_garbage_costs_a_scan_and_nothing_else(rig: Rig, index_file: Path) -> None:
    await recorded(rig, 4)
    damage(index_file, lambda _: random.Random(1).randbytes(100_000))

    fresh = await restarted(rig)

    assert await covered(fresh) == [0, 3, 4]
    assert len(fresh.probe.looked_at) == 4
    await fresh.stop()


async def test_an_index_that_cannot_be_written_costs_no_coverage(rig: Rig, index_file: Path) -> None:
    writer = await rig.put_run()
    outside = rig.volume.parent / "outside"
    link(index_file, outside)
    writer.record(4)
    await rig.agent.scan()
    writer.record(6)
    await rig.agent.scan()

    assert await covered(rig) == [0, 5, 6]
    assert not exists(outside), "a link is not followed"
    assert (await rig.metrics())["replay_agent_scan_errors_total"] == 1, "counted once, not for each segment"


async def test_the_next_agent_of_the_same_group_may_write_the_index(rig: Rig, index_file: Path) -> None:
    before = os.umask(0o077)
    try:
        await recorded(rig, 1)
    finally:
        os.umask(before)

    assert mode(index_file) == 0o664


async def test_an_index_does_not_grow_without_end(rig: Rig, index_file: Path) -> None:
    writer = await rig.put_run()
    most = 0
    for newest in range(9, 400, 10):
        replace_by_later_ones(writer, range(newest - 9, newest + 1))
        rig.clock.advance(61)
        await rig.agent.scan()
        most = max(most, len(lines_of(index_file)))

    # Ten segments are there, and ten have gone since the last look.
    assert 200 < most <= 2 * 20 + 200
    assert set(range(390, 400)) <= set(read_index(b"".join(lines_of(index_file, keep_ends=True))))


async def test_a_run_goes_with_its_index(rig: Rig, index_file: Path) -> None:
    await recorded(rig, 3)
    assert exists(index_file)

    for seq in range(1, 100):
        rig.clock.advance(10)
        await rig.put_policy(seq=seq)
        await rig.agent.scan()
        await rig.agent.maintain()

    assert not exists(index_file.parent)


async def test_the_capture_worker_takes_its_scans_from_the_index(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = await recorded(rig, 6)
    os.utime(writer.directory / "seg_00004.ts", ns=(1, 1))
    scanned: list[int] = []
    real = media_runs.scan_segment

    def counting(data: bytes, *, near_ticks: int) -> media_runs.SegmentScan:
        scanned.append(len(data))
        return real(data, near_ticks=near_ticks)

    monkeypatch.setattr(media_runs, "scan_segment", counting)
    run = read_run(writer.directory)
    assert run is not None
    with_index = [read_and_scan(run, file) for file in run.segments]
    assert scanned == [run.segments[4].size_bytes]

    (writer.directory / INDEX_FILE).unlink()
    without = read_run(writer.directory)
    assert without is not None
    assert [read_and_scan(without, file) for file in without.segments] == with_index


@pytest.mark.parametrize("ended", [False, True], ids=["going on", "ended"])
@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 6), (2, 5)])
@pytest.mark.parametrize("written", ["nothing else", "a manifest", "times of a copy"])
async def test_agent_and_capture_worker_choose_the_same_clock_for_a_run_without_one(
    rig: Rig, clock: MovedClock, first: int, count: int, written: str, *, ended: bool
) -> None:
    writer = await rig.put_run(mediaStartedAtNs=None)
    writer.record(first + count, ended=ended)
    for index in range(first):
        (writer.directory / f"seg_{index:05d}.ts").unlink()
    if written != "nothing else":
        (writer.directory / "EG_abc.json").write_text('{"started_at": 1795348799600000000}')
    if written == "times of a copy":
        for segment in writer.directory.glob("seg_*.ts"):
            os.utime(segment, ns=(10**18, 10**18))
    clock.advance(61)
    await rig.agent.scan()

    told = await rig.run_coverage()
    run = read_run(writer.directory)

    assert told is not None
    assert run is not None
    oldest = read_and_scan(run, run.segments[0])
    assert oldest is not None
    assert (told["clock"], datetime.fromisoformat(told["oldest"])) == (
        run.clock.value,
        run.instant(oldest.start),
    )
    assert told["clock"] == ("Manifest" if written == "times of a copy" else "Arrival")


async def test_a_run_of_twenty_hours_is_placed_behind_the_wrap_of_its_timestamps(rig: Rig) -> None:
    # At 13.25 hours half of the 33 bits are used up: an agent that forgets the index would count backwards.
    writer = await rig.put_run(segmentSeconds=15)
    index = 20 * 3600 // 15
    target = writer.directory / f"seg_{index:05d}.ts"
    target.write_bytes(at_hour(rig.segments[0].read_bytes(), 20))
    writer.list([index])
    rig.clock.advance(61)
    await rig.agent.scan()

    run = await rig.run_coverage()

    assert run is not None
    hours = (datetime.fromisoformat(run["oldest"]) - rig.clock.now()).total_seconds() / 3600
    assert 19.9 < hours < 20.1


def at_hour(segment: bytes, hours: int) -> bytes:
    """The segment as a run has it so many hours after its start."""
    grid = TsGrid(segment)
    moved = bytearray(segment)
    for pid, rows in grid.starts().items():
        heads = (
            pes_heads(grid, rows, MEDIA_EPOCH_TICKS) if pid in program_tracks(grid, grid.starts()) else None
        )
        for position in range(len(heads.rows) if heads else 0):
            assert heads is not None
            write_timestamp(
                moved, heads.pts_at(position), heads.pts[position] + hours * 3600 * TICKS_PER_SECOND
            )
            if heads.has_dts[position]:
                later = heads.dts[position] + hours * 3600 * TICKS_PER_SECOND
                write_timestamp(moved, heads.dts_at(position), later)
    return bytes(moved)

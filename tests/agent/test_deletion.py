"""What goes, what stays, and when nothing may go at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from replay_operator.agent.segment_probe import ProbedSegment, probe_segment
from replay_operator.agent.volume import Volume
from tests.agent.rig import BUFFER, RUN, Rig, buffer_policy, make_rig, pin

ALL = list(range(12))


async def recorded(rig: Rig, *, ended: bool = True) -> None:
    writer = await rig.put_run()
    writer.record(12, ended=ended)
    await rig.agent.scan()


async def sweep(rig: Rig) -> list[int]:
    await rig.agent.maintain()
    return rig.files()


async def test_what_left_the_window_goes(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(windowSeconds=46, slackSeconds=4))

    # The clock is at 60 s, so the cut-off is at 10 s; segment 4 ends 8 ms after it, with its sound.
    assert await sweep(rig) == [4, 5, 6, 7, 8, 9, 10, 11]
    assert (await rig.metrics())['replay_agent_deleted_segments_total{reason="window"}'] == 4
    run = await rig.run_coverage()
    assert run is not None
    assert run["firstIndex"] == 4


async def test_a_pinned_range_stays_with_one_segment_on_both_sides(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(pins=[pin(6.5, 9.5)]))

    assert await sweep(rig) == [2, 3, 4, 5]


async def test_a_released_pin_lets_its_range_go(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(pins=[pin(6.5, 9.5)]))
    await sweep(rig)
    await rig.put_policy(buffer_policy(), seq=2)

    assert await sweep(rig) == []


async def test_the_newest_two_of_a_live_run_stay(rig: Rig) -> None:
    await recorded(rig, ended=False)
    await rig.put_policy(buffer_policy())

    assert await sweep(rig) == [10, 11]


async def test_a_run_whose_worker_died_is_let_go_after_a_while(rig: Rig) -> None:
    await recorded(rig, ended=False)
    rig.clock.advance(121)
    await rig.put_policy(buffer_policy())

    assert await sweep(rig) == []


async def test_a_segment_that_was_never_listed_goes_too_when_it_is_old(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(2)
    writer.copy(2)
    rig.clock.advance(61)
    await rig.agent.scan()
    rig.clock.advance(121)
    await rig.put_policy(buffer_policy())

    assert await sweep(rig) == []


async def test_the_window_of_a_gone_source_stays_until_it_expires(rig: Rig) -> None:
    await recorded(rig)
    frozen = {"frozenAt": "2026-11-22T12:00:24Z", "expiresAt": "2026-11-22T13:00:00Z"}
    rig.clock.advance(600)
    await rig.put_policy(buffer_policy(**frozen))
    kept = await sweep(rig)
    assert kept
    assert kept[-1] == 11

    rig.clock.advance(3600)
    await rig.put_policy(buffer_policy(**frozen), seq=2)
    assert await sweep(rig) == []


async def test_nothing_goes_before_the_operator_was_heard(
    rig: Rig, volume: Path, token_directory: Path, segments: list[Path]
) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy())
    await rig.stop()
    restarted = make_rig(volume, token_directory, segments, rig.clock)
    await restarted.start()
    await restarted.agent.scan()
    await restarted.pass_time(3600)

    assert restarted.files() == ALL
    assert (await restarted.coverage())["seq"] == 1

    await restarted.put_policy(buffer_policy())
    assert await sweep(restarted) == []
    await restarted.stop()


async def test_nothing_goes_while_the_agent_is_new(
    volume: Path, token_directory: Path, segments: list[Path], rig: Rig
) -> None:
    await recorded(rig)
    await rig.stop()
    fresh = make_rig(volume, token_directory, segments, rig.clock)
    await fresh.start()
    await fresh.agent.scan()
    await fresh.put_policy(buffer_policy())

    assert await sweep(fresh) == ALL
    rig.clock.advance(30)
    assert await sweep(fresh) == []
    await fresh.stop()


async def test_nothing_goes_when_the_operator_has_been_silent_for_a_minute(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(windowSeconds=86_400))
    await sweep(rig)
    rig.clock.advance(86_400 * 2)

    assert await sweep(rig) == ALL


async def test_a_refused_policy_does_not_end_the_silence(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(), seq=2)
    rig.clock.advance(61)
    status, _ = await rig.put("/v1/policy", {"epoch": 1, "seq": 1, "complete": True, "buffers": []})
    assert status == 409

    assert await sweep(rig) == ALL


async def test_the_same_policy_again_ends_the_silence(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy())
    rig.clock.advance(61)
    await rig.put_policy(buffer_policy())

    assert await sweep(rig) == []


async def test_a_pin_that_was_acknowledged_is_never_passed_over_by_a_deletion_under_way(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy())
    deleting, go_on = threading.Event(), threading.Event()
    real = Volume.remove_segments

    def held(self: Volume, *args: object) -> object:
        deleting.set()
        assert go_on.wait(60)
        return real(self, *args)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(Volume, "remove_segments", held)
    sweeping = asyncio.create_task(rig.agent.maintain())
    assert await asyncio.to_thread(deleting.wait, 60)
    put = asyncio.create_task(rig.put_policy(buffer_policy(pins=[pin(0, 24)]), seq=2))
    answered, _ = await asyncio.wait({put}, timeout=1)
    go_on.set()
    await asyncio.gather(sweeping, put)

    assert not answered
    assert rig.files() == []


async def lose(rig: Rig, seconds: float, *, complete: bool = True) -> None:
    """Let an operator that does not name the buffer repeat its policy for a while."""
    for _ in range(int(seconds // 10) + 1):
        await rig.put_policy(complete=complete)
        await rig.agent.scan()
        await rig.agent.maintain()
        rig.clock.advance(10)


async def test_a_directory_that_no_complete_policy_names_goes_after_its_grace_period(rig: Rig) -> None:
    await recorded(rig)
    await lose(rig, 590)
    assert rig.files() == ALL

    await lose(rig, 20)

    assert not (rig.volume / "team-a").exists()
    assert (await rig.coverage())["buffers"] == []
    assert (await rig.metrics())['replay_agent_deleted_segments_total{reason="orphan"}'] == 12


async def test_an_incomplete_policy_removes_no_directory(rig: Rig) -> None:
    await recorded(rig)

    await lose(rig, 1200, complete=False)

    assert rig.files() == ALL


async def test_an_orphan_that_is_still_written_waits_for_its_worker(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(2)
    for step in range(70):
        writer.list(range(2), name="live.m3u8" if step % 2 else "index.m3u8")
        await lose(rig, 0)

    assert rig.files() == [0, 1]


async def test_a_file_that_is_not_ours_survives_with_its_directory(rig: Rig) -> None:
    await recorded(rig)
    foreign = rig.volume / BUFFER / RUN / "holiday.mp4"
    foreign.write_text("not ours")

    await lose(rig, 1300)

    assert foreign.read_text() == "not ours"
    assert rig.files() == []
    assert (await rig.metrics())["replay_agent_deletion_errors_total"] >= 1


async def test_an_empty_run_directory_goes_after_the_grace_period_and_the_buffer_stays(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(12, ended=True)
    (writer.directory / "EG_abc.json").write_text("{}")
    await rig.agent.scan()
    for _ in range(70):
        await rig.put_policy(buffer_policy())
        await rig.agent.scan()
        await rig.agent.maintain()
        rig.clock.advance(10)

    assert not writer.directory.exists()
    assert (rig.volume / BUFFER).is_dir()


async def test_a_new_run_directory_waits_for_its_first_segment(rig: Rig) -> None:
    writer = await rig.put_run()
    for _ in range(50):
        await rig.put_policy(buffer_policy())
        await rig.agent.scan()
        await rig.agent.maintain()
        rig.clock.advance(10)

    assert (writer.directory / "run.json").exists()


async def test_a_directory_that_became_a_link_is_not_followed_by_a_deletion(rig: Rig) -> None:
    await recorded(rig)
    outside = rig.volume.parent / "outside"
    (rig.volume / BUFFER).rename(outside)
    (rig.volume / BUFFER).symlink_to(outside)
    await rig.put_policy(buffer_policy())
    await rig.agent.maintain()

    assert len(list((outside / RUN).glob("seg_*.ts"))) == 12
    assert (await rig.metrics())["replay_agent_deletion_errors_total"] == 1


async def test_nothing_goes_before_the_first_scan_is_done(
    volume: Path, token_directory: Path, segments: list[Path], rig: Rig
) -> None:
    await recorded(rig)
    (await rig.put_run(buffer="team-b/later")).record(2)
    await rig.stop()
    scanning, go_on = threading.Event(), threading.Event()

    def probe_with_a_stall(file: Path, index: int, near_ticks: int) -> ProbedSegment | None:
        if "team-b" in file.parts:
            scanning.set()
            assert go_on.wait(60)
        return probe_segment(file, index, near_ticks)

    fresh = make_rig(volume, token_directory, segments, rig.clock, probe=probe_with_a_stall)
    await fresh.start()
    rig.clock.advance(60)
    first_scan = asyncio.create_task(fresh.agent.scan())
    assert await asyncio.to_thread(scanning.wait, 10)
    await fresh.put_policy(buffer_policy())
    rig.clock.advance(40)
    await fresh.agent.maintain()

    assert fresh.files() == ALL
    assert (await fresh.coverage())["complete"] is False
    assert (await fresh.ready())[0] == 503
    go_on.set()
    await first_scan
    assert (await fresh.ready())[0] == 200
    await fresh.stop()

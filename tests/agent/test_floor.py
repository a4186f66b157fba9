"""The free space floor: who pays, that it holds without an operator too, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replay_operator.agent import floor
from replay_operator.agent.floor import EPISODE_SECONDS
from replay_operator.domain.free_space import Space
from tests.agent.rig import BUFFER, Rig, buffer_policy, make_rig, pin

SIZE = 1_000_000
FLOOR = 50_000
"""What goes when a byte is missing to it, with the margin, is less than one segment."""
MORE_MISSING_THAN_THERE_IS = -SIZE
SECOND = "team-a/0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f22"
LONG = {"windowSeconds": 3600}


class Disk:
    """A volume that has what its own files leave free. Real ones: tests/storage."""

    def __init__(self, volume: Path) -> None:
        self.volume = volume
        self.others_bytes = 0

    def leave_free(self, free_bytes: int) -> None:
        self.others_bytes = SIZE - self._used() - free_bytes

    def space(self, root: Path) -> Space:
        assert root == self.volume
        return Space(SIZE, SIZE - self._used() - self.others_bytes)

    def _used(self) -> int:
        return sum(file.stat().st_size for file in self.volume.rglob("seg_*.ts"))


@pytest.fixture
def disk(volume: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(volume)
    monkeypatch.setattr(floor, "_space", made.space)
    made.leave_free(SIZE // 2)
    return made


async def recorded(rig: Rig, *, buffer: str = BUFFER, count: int = 12, ended: bool = False) -> None:
    (await rig.put_run(buffer=buffer)).record(count, ended=ended)
    await rig.agent.scan()


async def floor_deletions(rig: Rig) -> float:
    return (await rig.metrics()).get('replay_agent_deleted_segments_total{reason="floor"}', 0)


async def test_nothing_goes_while_there_is_room(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    disk.leave_free(FLOOR)
    await rig.agent.keep_floor()

    assert len(rig.files()) == 12
    assert await floor_deletions(rig) == 0


async def test_the_oldest_of_the_fattest_buffer_go_and_the_thin_one_keeps_all(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await recorded(rig, buffer=SECOND, count=4)
    await rig.put_policy(buffer_policy(**LONG), buffer_policy(SECOND, **LONG))
    disk.leave_free(FLOOR - 1)
    await rig.agent.keep_floor()

    assert await floor_deletions(rig) == 1
    assert rig.files() == list(range(1, 12))
    assert rig.files(buffer=SECOND) == [0, 1, 2, 3]


async def test_the_newest_of_a_live_run_stay_though_nothing_else_is_left(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    disk.leave_free(MORE_MISSING_THAN_THERE_IS)
    await rig.agent.keep_floor()

    assert rig.files() == [10, 11]
    metrics = await rig.metrics()
    assert metrics['replay_agent_volume_bytes{what="missing"}'] > 0
    assert (await rig.coverage())["space"]["missingBytes"] > 0


async def test_a_pin_holds_against_the_floor_and_the_lack_is_told_loudly(
    rig: Rig, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy(**LONG, pins=[pin(0, 30)]))
    disk.leave_free(MORE_MISSING_THAN_THERE_IS)
    await rig.agent.keep_floor()
    await rig.agent.keep_floor()

    assert len(rig.files()) == 12
    loud = [record for record in caplog.records if "nothing more may go" in record.message]
    assert [record.levelname for record in loud] == ["ERROR"]
    assert (await rig.metrics())["replay_agent_oldest_pin_seconds"] == rig.clock.seconds


async def test_what_lacks_only_to_the_margin_is_not_told(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    spare = sum(file.stat().st_size for file in rig.segments[:10])
    disk.leave_free(FLOOR - spare)
    await rig.agent.keep_floor()

    assert rig.files() == [10, 11]
    assert (await rig.metrics())['replay_agent_volume_bytes{what="missing"}'] == 0


async def test_the_floor_holds_while_the_operator_is_silent(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    rig.clock.advance(3600)
    await rig.agent.maintain()
    assert len(rig.files()) == 12

    disk.leave_free(FLOOR - 1)
    await rig.agent.keep_floor()

    assert len(rig.files()) < 12


async def test_an_agent_that_just_started_keeps_the_floor_and_the_pins_of_the_stored_policy(
    rig: Rig, disk: Disk
) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy(**LONG, pins=[pin(0, 3)]))
    await rig.stop()
    fresh = make_rig(rig.volume, rig.token_directory, rig.segments, rig.clock)
    await fresh.start()
    await fresh.agent.scan()
    disk.leave_free(MORE_MISSING_THAN_THERE_IS)
    await fresh.agent.keep_floor()

    # The pin touches segment 1 of two seconds each, and its neighbour stays with it.
    assert fresh.files() == [0, 1, 2]
    await fresh.stop()


async def test_without_any_policy_nothing_goes_because_nobody_knows_what_is_pinned(
    rig: Rig, disk: Disk
) -> None:
    await recorded(rig, ended=True)
    disk.leave_free(MORE_MISSING_THAN_THERE_IS)
    await rig.agent.keep_floor()

    assert len(rig.files()) == 12
    assert (await rig.metrics())['replay_agent_volume_bytes{what="missing"}'] > 0


async def test_what_left_its_window_goes_before_the_window_of_a_fatter_buffer(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await recorded(rig, buffer=SECOND, count=6)
    await rig.put_policy(buffer_policy(**LONG), buffer_policy(SECOND))
    rig.clock.advance(61)
    disk.leave_free(FLOOR - 1)
    await rig.agent.keep_floor()

    assert len(rig.files()) == 12
    assert len(rig.files(buffer=SECOND)) < 6
    assert [b for b in (await rig.coverage())["buffers"] if "trimmedSince" in b] == []


async def trimmed(rig: Rig) -> list[str]:
    return [b["path"] for b in (await rig.coverage())["buffers"] if "trimmedSince" in b]


async def test_coverage_names_the_buffer_that_is_trimmed_until_a_while_after(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await recorded(rig, buffer=SECOND, count=4)
    await rig.put_policy(buffer_policy(**LONG), buffer_policy(SECOND, **LONG))
    assert await trimmed(rig) == []
    disk.leave_free(FLOOR - 1)
    await rig.agent.keep_floor()
    assert await trimmed(rig) == [BUFFER]
    assert (await rig.metrics())["replay_agent_trimmed_buffers"] == 1

    rig.clock.advance(EPISODE_SECONDS)
    await rig.agent.keep_floor()
    assert await trimmed(rig) == []


async def test_the_beginning_of_an_episode_is_told_once_though_it_goes_on(rig: Rig, disk: Disk) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    began = []
    for _ in range(3):
        disk.leave_free(FLOOR - 1)
        rig.clock.advance(10)
        await rig.agent.keep_floor()
        began += [b["trimmedSince"] for b in (await rig.coverage())["buffers"]]

    assert len(began) == 3
    assert len(set(began)) == 1


async def test_a_volume_that_fills_says_when_it_will_be_full(rig: Rig, disk: Disk) -> None:
    await rig.put_policy()
    for free in (400_000, 390_000, 380_000):
        disk.leave_free(free)
        await rig.agent.keep_floor()
        rig.clock.advance(10)

    space = (await rig.coverage())["space"]
    assert space["sizeBytes"] == SIZE
    assert space["floorBytes"] == FLOOR
    assert space["freeBytes"] == 380_000
    assert space["fullInSeconds"] == 380
    metrics = await rig.metrics()
    assert metrics["replay_agent_volume_full_seconds"] == 380
    assert metrics['replay_agent_volume_bytes{what="free"}'] == 380_000


async def test_a_volume_that_does_not_fill_is_never_full(rig: Rig, disk: Disk) -> None:
    await rig.agent.keep_floor()
    rig.clock.advance(10)
    await rig.agent.keep_floor()

    assert "fullInSeconds" not in (await rig.coverage())["space"]
    assert (await rig.metrics())["replay_agent_volume_full_seconds"] == float("inf")


async def test_a_buffer_that_writes_far_more_than_it_said_loses_its_oldest(rig: Rig) -> None:
    await recorded(rig, ended=True)
    sizes = [file.stat().st_size for file in rig.segments]
    limit: dict[str, Any] = {"maxBytes": sum(sizes[4:])}
    await rig.put_policy(buffer_policy(**LONG, **limit))
    await rig.agent.maintain()

    assert rig.files() == list(range(4, 12))
    assert (await rig.metrics())['replay_agent_deleted_segments_total{reason="bytes"}'] == 4


async def test_the_byte_limit_waits_while_the_operator_is_silent(rig: Rig) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy(**LONG, maxBytes=1))
    rig.clock.advance(61)
    await rig.agent.maintain()

    assert len(rig.files()) == 12

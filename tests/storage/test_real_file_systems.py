"""Retention, the floor and a full disk on real file systems, with the agent behind its real HTTP server."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from io import RawIOBase
from pathlib import Path

import pytest

from replay_operator.agent.ownership import STATE_DIRECTORY
from tests.agent.rig import BUFFER, EgressWriter, MovedClock, Rig, buffer_policy, make_rig, pin
from tests.storage.conftest import MIB, SMALLEST_MIB, MakeVolume
from tests.storage.media import make_segments
from tests.waiting import until

COUNT = 12
SEGMENT_BYTES = 8 * MIB
BALLAST = "ballast"
LONG = {"windowSeconds": 3600}
OTHER = "team-a/0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f22"


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("large-segments")
    for index, content in enumerate(make_segments(directory, count=COUNT, segment_bytes=SEGMENT_BYTES)):
        (directory / f"seg_{index:05d}.ts").write_bytes(content)
    return sorted(directory.glob("seg_*.ts"))[:COUNT]


@pytest.fixture
async def rig(make_volume: MakeVolume, token_directory: Path, segments: list[Path]) -> AsyncIterator[Rig]:
    """An agent that owns a real volume, with a floor of a tenth of it."""
    clock = MovedClock()
    made = make_rig(make_volume(SMALLEST_MIB), token_directory, segments, clock, free_space_floor="10%")
    await made.start()
    clock.advance(60)
    await made.agent.scan()
    yield made
    await made.stop()


def free_bytes(rig: Rig) -> int:
    told = os.statvfs(rig.volume)
    return told.f_bavail * told.f_frsize


def floor_bytes(rig: Rig) -> int:
    told = os.statvfs(rig.volume)
    return told.f_blocks * told.f_frsize // 10


def load(rig: Rig, *, leave_bytes: int) -> None:
    """Let somebody else's file take all but so much; it is written, not promised.

    A file system may first keep more for a growing file than it has, and give it back: then again.
    """
    with (rig.volume / BALLAST).open("ab", buffering=0) as file, suppress(FullError):
        while (room := free_bytes(rig) - leave_bytes) > 0:
            _write(file, b"\x00" * min(room, MIB))
            os.fsync(file.fileno())
    os.sync()


class FullError(Exception):
    """No byte more goes onto the volume."""


def _write(file: RawIOBase, content: bytes) -> None:
    try:
        file.write(content)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise FullError from error


async def has_room(rig: Rig, free: int) -> None:
    """Wait for what a file system does a little later: XFS gives room back in the background."""
    await until(f"{free} bytes of room", lambda: free_bytes(rig) >= free, seconds=90)


async def recorded(rig: Rig, *, buffer: str = BUFFER, ended: bool = False) -> EgressWriter:
    writer = await rig.put_run(buffer=buffer)
    writer.record(COUNT, ended=ended)
    await rig.agent.scan()
    return writer


def segment_count(rig: Rig) -> int:
    return sum(1 for _ in rig.volume.rglob("*.ts"))


async def floor_holds(rig: Rig) -> None:
    """Look as often as an agent does.

    The agent waits for seconds until what it has deleted is free. Its clock runs ahead of the real one here,
    so it stands still until the file system has given the room back.
    """
    for _ in range(30):
        segments_before, free_before = segment_count(rig), free_bytes(rig)
        await rig.agent.keep_floor()
        gone_bytes = (segments_before - segment_count(rig)) * SEGMENT_BYTES
        await has_room(rig, free_before + gone_bytes // 2)
        rig.clock.advance(1)


async def test_what_left_the_window_gives_its_room_back(rig: Rig) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy())
    os.sync()
    before = free_bytes(rig)
    await rig.agent.maintain()

    assert rig.files() == []
    await has_room(rig, before + (COUNT - 1) * SEGMENT_BYTES + 1)


async def test_the_floor_is_free_again_and_the_newest_are_what_is_left(rig: Rig) -> None:
    await recorded(rig)
    await rig.put_policy(buffer_policy(**LONG))
    load(rig, leave_bytes=floor_bytes(rig) // 2)
    await floor_holds(rig)
    left = rig.files()

    assert free_bytes(rig) >= floor_bytes(rig)
    assert left == list(range(COUNT - len(left), COUNT))
    assert len(left) >= COUNT // 2, "more went than had to"
    assert (await rig.coverage())["buffers"][0]["trimmedSince"]


async def test_two_buffers_pay_alike(rig: Rig) -> None:
    await recorded(rig)
    await recorded(rig, buffer=OTHER)
    await rig.put_policy(buffer_policy(**LONG), buffer_policy(OTHER, **LONG))
    load(rig, leave_bytes=0)
    await floor_holds(rig)

    assert abs(len(rig.files()) - len(rig.files(buffer=OTHER))) <= 1
    assert len(rig.files()) < COUNT


async def test_a_full_disk_refuses_a_pin_and_takes_it_when_the_floor_has_made_room(rig: Rig) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy(**LONG))
    load(rig, leave_bytes=0)
    large = [buffer_policy(f"team-a/buffer-{number}", **LONG) for number in range(5000)]
    body = {"epoch": 1, "seq": 2, "complete": True, "buffers": [buffer_policy(**LONG), *large]}
    status, answer = await rig.put("/v1/policy", body)
    assert status == 500
    assert "No space left" in answer["error"]
    assert (await rig.ready())[0] == 200
    assert (await rig.coverage())["seq"] == 1
    assert not [file for file in (rig.volume / STATE_DIRECTORY).iterdir() if file.suffix == ".tmp"]

    await floor_holds(rig)
    assert (await rig.put("/v1/policy", body))[0] == 200


async def test_an_index_that_finds_no_room_costs_no_coverage(rig: Rig) -> None:
    (await rig.put_run()).record(COUNT)
    load(rig, leave_bytes=0)
    await rig.agent.scan()
    await rig.agent.maintain()
    run = await rig.run_coverage()

    assert run is not None
    assert run["segments"] == COUNT
    assert (await rig.ready())[0] == 200


async def test_a_pin_holds_on_a_full_disk(rig: Rig) -> None:
    await recorded(rig, ended=True)
    await rig.put_policy(buffer_policy(**LONG, pins=[pin(-10, 60)]))
    load(rig, leave_bytes=0)
    await floor_holds(rig)

    assert rig.files() == list(range(COUNT))
    assert (await rig.coverage())["space"]["missingBytes"] > 0

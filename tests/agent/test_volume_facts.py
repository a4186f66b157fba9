"""What the agent says of the volumes that it mounts, to `replay-operator doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from replay_operator import __version__
from replay_operator.agent.volume_facts import mount_of, volume_facts
from replay_operator.api.volume_facts import AgentFacts
from tests.agent.rig import TOKEN, Rig

NFS = (
    "512 498 0:51 / /buffer rw,noatime shared:7 - nfs4 files:/export/replay "
    "rw,vers=4.1,rsize=1048576,wsize=1048576,hard,proto=tcp,timeo=600,retrans=2"
)
NOBODY = 65534
ROOT = "498 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard"


async def facts(rig: Rig) -> AgentFacts:
    async with rig.client.get("/v1/volume", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 200
        return AgentFacts.model_validate_json(await answer.read())


async def test_an_agent_tells_how_its_volumes_are_mounted_and_filled(rig: Rig) -> None:
    rig.volume.chmod(0o2775)

    told = await facts(rig)

    assert told.version == __version__
    assert told.not_ready is None
    assert told.buffer is not None
    assert told.archive is not None
    assert told.archive.path == str(rig.archive)
    space = os.statvfs(rig.volume)
    assert told.buffer.total_bytes == space.f_blocks * space.f_frsize
    assert 0 < told.buffer.free_bytes <= told.buffer.total_bytes
    assert told.buffer.free_inodes <= told.buffer.total_inodes
    assert told.buffer.mode == "2775"
    assert (told.buffer.owner_uid, told.buffer.owner_gid) == (os.getuid(), rig.volume.stat().st_gid)
    assert told.buffer.writable
    assert {"rw", "ro"} & set(told.buffer.options)


async def test_an_agent_tells_the_time_of_its_own_clock(rig: Rig) -> None:
    rig.clock.advance(3)
    assert (await facts(rig)).clock == rig.clock.now()


async def test_an_agent_tells_its_floor_once_it_has_looked(rig: Rig) -> None:
    await rig.agent.keep_floor()
    told = await facts(rig)
    assert told.space is not None
    assert 0 < told.space.floor_bytes < told.space.size_bytes


async def test_asking_for_the_volume_leaves_no_trace_on_it(rig: Rig) -> None:
    before = sorted(path.name for path in rig.volume.rglob("*"))
    await facts(rig)
    assert sorted(path.name for path in rig.volume.rglob("*")) == before


async def test_a_volume_that_cannot_be_read_is_absent_and_the_other_one_told(rig: Rig) -> None:
    rig.archive.rmdir()

    told = await facts(rig)

    assert told.archive is None
    assert told.buffer is not None


async def test_the_volume_is_told_to_nobody_without_the_token(rig: Rig) -> None:
    async with rig.client.get("/v1/volume") as answer:
        assert answer.status == 401


@pytest.fixture
def a_user_without_power() -> Iterator[None]:
    """Root may write everywhere, so it becomes nobody for one test."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    os.seteuid(before)


def test_a_volume_that_this_user_may_not_write_is_told_so(a_user_without_power: None) -> None:
    # Not below pytest's own directory, which nobody else may enter.
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o555)
        told = volume_facts(Path(directory))
    assert told is not None
    assert not told.writable


def test_options_of_the_mount_and_of_the_file_system_are_told_together() -> None:
    mount = mount_of("/buffer/team-a", f"{ROOT}\n{NFS}\n")
    assert (mount.point, mount.file_system, mount.source) == ("/buffer", "nfs4", "files:/export/replay")
    assert mount.options[:2] == ("rw", "noatime")
    assert {"hard", "vers=4.1", "wsize=1048576"} <= set(mount.options)


def test_a_directory_on_which_nothing_is_mounted_belongs_to_the_file_system_around_it() -> None:
    assert mount_of("/buffers", f"{ROOT}\n{NFS}\n").point == "/"


def test_of_two_mounts_on_one_point_the_later_one_counts() -> None:
    later = "513 512 0:52 / /buffer ro,relatime - xfs /dev/vdb rw"
    assert mount_of("/buffer", f"{ROOT}\n{NFS}\n{later}\n").file_system == "xfs"


def test_blanks_in_a_mount_point_are_read() -> None:
    line = r"512 498 0:51 / /my\040buffer rw - xfs /dev/vdb rw"
    assert mount_of("/my buffer", f"{ROOT}\n{line}\n").point == "/my buffer"


def test_a_moment_is_told_with_its_zone() -> None:
    wire = {"version": "1", "clock": "2026-01-31T12:00:00Z"}
    assert AgentFacts.model_validate(wire).clock == datetime.fromisoformat("2026-01-31T12:00:00+00:00")

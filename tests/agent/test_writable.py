"""Readiness says whether the volume takes writes; a full one is no reason to take the agent away."""

from __future__ import annotations

import asyncio
import errno
import threading
from pathlib import Path

import pytest

from replay_operator.agent import write_probe
from replay_operator.agent.directories import open_below, write_atomically
from replay_operator.agent.write_probe import UNANSWERED_SECONDS
from tests.agent.rig import BUFFER, Rig, buffer_policy


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write(root: Path) -> None:
        raise OSError(number, "refused by the test")

    monkeypatch.setattr(write_probe, "_write", write)


async def test_an_agent_on_a_volume_that_takes_writes_is_ready(rig: Rig) -> None:
    assert await rig.ready() == (200, "ok\n")
    assert (await rig.metrics())["replay_agent_volume_writable"] == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.EACCES, errno.ESTALE])
async def test_a_volume_that_refuses_writes_makes_the_agent_unready_until_it_takes_them_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as patch:
        refuse(patch, number)
        await rig.pass_time(10)
        status, reason = await rig.ready()
        assert status == 503
        assert "cannot be written" in reason
        assert (await rig.metrics())["replay_agent_volume_writable"] == 0

    await rig.pass_time(10)
    assert (await rig.ready())[0] == 200


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_volume_leaves_the_agent_ready_because_it_has_to_make_room(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number)
    await rig.pass_time(10)

    assert (await rig.ready())[0] == 200
    assert (await rig.metrics())["replay_agent_volume_writable"] == 0


async def test_a_write_that_hangs_makes_the_agent_unready(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def write(root: Path) -> None:
        asked.set()
        assert go_on.wait(60)

    monkeypatch.setattr(write_probe, "_write", write)
    rig.clock.advance(10)
    looking = asyncio.create_task(rig.agent.scan())
    assert await asyncio.to_thread(asked.wait, 60)
    rig.clock.advance(UNANSWERED_SECONDS)
    status, reason = await rig.ready()
    go_on.set()
    await looking

    assert status == 503
    assert "stalled" in reason


def test_a_file_that_could_not_be_written_whole_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.json").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.fsync", full)
    with open_below(tmp_path) as directory, pytest.raises(OSError, match="full"):
        write_atomically(directory, "policy.json", b"new", mode=0o600)

    assert [file.name for file in tmp_path.iterdir()] == ["policy.json"]
    assert (tmp_path / "policy.json").read_text() == "old"


async def test_a_policy_that_finds_no_room_is_refused_and_the_old_one_stays_in_force(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.put_policy(buffer_policy())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        body = {"epoch": 1, "seq": 2, "complete": True, "buffers": [buffer_policy(BUFFER)]}
        status, answer = await rig.put("/v1/policy", body)

    assert status == 500
    assert "No space left" in answer["error"]
    assert (await rig.coverage())["seq"] == 1

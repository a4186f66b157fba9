"""Unfinished files on the archive volume: whose go, and whose stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.agent.rig import BUFFER, T0_NS, Rig, buffer_policy, policy

DAY = "team-a/alice/2026-11-22"
LIVE = "1a2b3c4d-0000-4000-8000-000000000001"
PART = ".goal-ffffffff.mp4.1.part"
LIVE_PART = ".goal-1a2b3c4d.mp4.1.part"


def leave(rig: Rig, name: str, *, day: str = DAY, at_seconds: float = 0) -> Path:
    file = rig.archive / day / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"half")
    written_ns = T0_NS + int(at_seconds * 1e9)
    os.utime(file, ns=(written_ns, written_ns))
    return file


async def hear(rig: Rig, *, captures: list[str] | None, complete: bool = True, seq: int = 1) -> None:
    told = policy(buffer_policy(), complete=complete, seq=seq)
    body = told if captures is None else told | {"liveCaptures": captures}
    assert (await rig.put("/v1/policy", body))[0] == 200


@pytest.mark.parametrize("name", [PART, ".goal-ffffffff.jpg.17.part", ".goal-ffffffff.json.4711.part"])
async def test_what_a_capture_that_has_ended_left_unfinished_goes_after_an_hour(rig: Rig, name: str) -> None:
    left = leave(rig, name)
    rig.clock.advance(3600 - rig.clock.seconds - 1)
    await hear(rig, captures=[LIVE])
    await rig.agent.sweep_archive()
    assert left.exists()

    rig.clock.advance(2)
    await rig.agent.sweep_archive()

    assert not left.exists()
    assert (await rig.metrics())["replay_agent_deleted_parts_total"] == 1


async def test_what_a_live_capture_writes_stays_however_long_it_takes(rig: Rig) -> None:
    left = leave(rig, LIVE_PART)
    rig.clock.advance(100_000)
    await hear(rig, captures=[LIVE])
    await rig.agent.sweep_archive()

    assert left.exists()


async def test_a_file_that_is_still_written_stays_though_its_capture_has_ended(rig: Rig) -> None:
    rig.clock.advance(100_000)
    left = leave(rig, PART, at_seconds=rig.clock.seconds - 3599)
    await hear(rig, captures=[])
    await rig.agent.sweep_archive()

    assert left.exists()


@pytest.mark.parametrize(
    ("captures", "complete", "silent_seconds"), [(None, True, 0), ([], False, 0), ([], True, 61)]
)
async def test_nothing_goes_unless_the_operator_has_just_named_all_captures(
    rig: Rig, captures: list[str] | None, complete: bool, silent_seconds: float
) -> None:
    left = leave(rig, PART)
    rig.clock.advance(100_000)
    await hear(rig, captures=captures, complete=complete)
    rig.clock.advance(silent_seconds)
    await rig.agent.sweep_archive()

    assert left.exists()


async def test_a_restarted_agent_waits_for_a_word_of_the_operator(rig: Rig) -> None:
    left = leave(rig, PART)
    rig.clock.advance(100_000)
    await rig.agent.sweep_archive()

    assert left.exists()


@pytest.mark.parametrize(
    "name",
    [
        "goal-ffffffff.mp4",
        "goal-ffffffff.json",
        "goal-ffffffff.mp4.1.part",
        ".goal-ffffffff.mp4.part",
        ".goal.mp4.1.part",
        ".goal-ffffffff.mkv.1.part",
        "notes.txt",
    ],
)
async def test_no_other_file_goes(rig: Rig, name: str) -> None:
    kept = leave(rig, name)
    rig.clock.advance(100_000)
    await hear(rig, captures=[])
    await rig.agent.sweep_archive()

    assert kept.exists()


async def test_a_namespace_of_somebody_else_is_not_looked_at(rig: Rig) -> None:
    theirs = leave(rig, PART, day="team-b/alice/2026-11-22")
    rig.clock.advance(100_000)
    await hear(rig, captures=[])
    await rig.agent.sweep_archive()

    assert BUFFER.startswith("team-a/")
    assert theirs.exists()


async def test_no_link_leads_the_sweep_out_of_the_archive(rig: Rig, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = outside / PART
    kept.write_bytes(b"theirs")
    os.utime(kept, ns=(T0_NS, T0_NS))
    (rig.archive / "team-a/alice").mkdir(parents=True)
    (rig.archive / DAY).symlink_to(outside)
    rig.clock.advance(100_000)
    await hear(rig, captures=[])
    await rig.agent.sweep_archive()

    assert kept.exists()


async def test_an_archive_that_is_not_there_stops_nobody(rig: Rig) -> None:
    rig.archive.rmdir()
    await hear(rig, captures=[])
    await rig.agent.sweep_archive()

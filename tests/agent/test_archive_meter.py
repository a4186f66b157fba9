"""How much lies on the archive volume, and how much more it takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.agent.rig import Rig

PERMANENT = 'replay_buffer_storage_bytes{type="permanent"}'


def put(rig: Rig, path: str, size: int) -> Path:
    file = rig.archive / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    return file


async def test_all_files_of_the_archive_are_counted_wherever_they_lie(rig: Rig) -> None:
    put(rig, "team-a/alice/2026-11-22/goal-cafecafe.mp4", 1000)
    put(rig, "team-a/alice/2026-11-22/goal-cafecafe.json", 10)
    put(rig, "team-b/shared/2026-11-23/goal-deadbeef.mp4", 100)
    await rig.agent.measure_archive()
    assert (await rig.metrics())[PERMANENT] == 1110


async def test_what_has_gone_is_no_longer_counted(rig: Rig) -> None:
    clip = put(rig, "team-a/alice/2026-11-22/goal-cafecafe.mp4", 1000)
    await rig.agent.measure_archive()
    clip.unlink()
    await rig.agent.measure_archive()
    assert (await rig.metrics())[PERMANENT] == 0


async def test_links_lead_nowhere_and_count_nothing(rig: Rig) -> None:
    outside = rig.archive.parent / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(b"x" * 5000)
    (rig.archive / "link").symlink_to(outside)
    (rig.archive / "file").symlink_to(outside / "big")
    await rig.agent.measure_archive()
    assert (await rig.metrics())[PERMANENT] == 0


async def test_the_size_of_the_archive_and_what_is_free_are_those_of_its_file_system(rig: Rig) -> None:
    await rig.agent.measure_archive()
    metrics, space = await rig.metrics(), os.statvfs(rig.archive)
    assert metrics['replay_agent_archive_bytes{what="size"}'] == space.f_blocks * space.f_frsize
    assert 0 < metrics['replay_agent_archive_bytes{what="free"}'] < space.f_blocks * space.f_frsize


async def test_an_archive_that_cannot_be_read_leaves_the_last_figure_and_a_line_in_the_log(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    put(rig, "team-a/alice/2026-11-22/goal-cafecafe.mp4", 1000)
    await rig.agent.measure_archive()
    rig.archive.rename(rig.archive.with_name("elsewhere"))
    await rig.agent.measure_archive()
    assert (await rig.metrics())[PERMANENT] == 1000
    assert "cannot be measured" in caplog.text

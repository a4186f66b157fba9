"""What the doctor says of real file systems, mounted well and badly."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from replay_operator.agent.volume_facts import volume_facts
from replay_operator.domain.checks.verdict import Level, Verdict
from tests.storage.conftest import SMALLEST_MIB, MakeVolume
from tests.unit.doctor_world import AGENT, finding


def remounted(volume: Path, options: str) -> Path:
    command = ["mount", "-o", f"remount,{options}", str(volume)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return volume


def judged(name: str, volume: Path) -> Verdict:
    return finding(name, agent=AGENT.model_copy(update={"buffer": volume_facts(volume)})).verdict


def test_a_disk_mounted_as_the_pages_say_passes_every_check_of_the_volume(make_volume: MakeVolume) -> None:
    volume = make_volume(SMALLEST_MIB)
    names = ("volume-writable", "file-system", "mount-options", "free-space", "free-inodes")
    verdicts = {name: judged(name, volume) for name in names}
    assert {name: v for name, v in verdicts.items() if v.level is not Level.PASS} == {}


def test_a_disk_that_writes_access_times_is_a_warning(make_volume: MakeVolume) -> None:
    verdict = judged("mount-options", remounted(make_volume(SMALLEST_MIB), "strictatime"))
    assert verdict.level is Level.WARN
    assert "noatime" in verdict.message


def test_a_disk_that_turned_read_only_fails(make_volume: MakeVolume) -> None:
    verdict = judged("volume-writable", remounted(make_volume(SMALLEST_MIB), "ro"))
    assert verdict.level is Level.FAIL
    assert "read-only" in verdict.message


def test_a_directory_of_the_volume_is_not_taken_for_the_volume(make_volume: MakeVolume) -> None:
    below = make_volume(SMALLEST_MIB) / "below"
    below.mkdir()
    assert judged("file-system", below).level is Level.FAIL


def test_a_disk_that_is_nearly_full_fails_for_its_space(make_volume: MakeVolume) -> None:
    volume = make_volume(SMALLEST_MIB)
    facts = volume_facts(volume)
    assert facts is not None
    with (volume / "much").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(facts.free_bytes * 0.97))
    assert judged("free-space", volume).level is Level.FAIL

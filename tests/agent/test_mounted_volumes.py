"""What the doctor says of real file systems: made on loop devices, mounted well and badly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replay_operator.agent.volume_facts import volume_facts
from replay_operator.domain.checks.verdict import Level, Verdict
from tests.unit.doctor_world import AGENT, finding

MAKERS = {"ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"), "xfs": ("mkfs.xfs", "-q", "-f")}
SIZE_BYTES = 320 * 2**20
"""mkfs.xfs makes none below 300 MiB. The file has holes: it takes as much as is written."""

Mounted = Callable[[str], Path]


@pytest.fixture(params=sorted(MAKERS))
def mounted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounted]:
    """Mounts a new file system with these options."""
    kind = str(request.param)
    if reason := _why_not(kind):
        pytest.skip(f"no {kind} on a loop device: {reason}")
    image, place = tmp_path / "image", tmp_path / "buffer"
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    place.mkdir()
    _run(*MAKERS[kind], str(image))

    def mount(options: str) -> Path:
        answer = _run("mount", "-o", f"loop,{options}", str(image), str(place), check=False)
        if answer.returncode:
            pytest.skip(f"no {kind} on a loop device: {answer.stderr.strip()}")
        place.chmod(0o2775)
        return place

    yield mount
    if place.is_mount():
        _run("umount", str(place))


def _why_not(kind: str) -> str:
    if os.geteuid() != 0:
        return "only root can mount"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices here"
    if kind not in Path("/proc/filesystems").read_text().split():
        return f"the kernel does not know {kind}"
    return "" if shutil.which(MAKERS[kind][0]) else f"{MAKERS[kind][0]} is not installed"


def _run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=60)


def judged(name: str, volume: Path) -> Verdict:
    return finding(name, agent=AGENT.model_copy(update={"buffer": volume_facts(volume)})).verdict


def test_a_disk_mounted_as_the_pages_say_passes_every_check_of_the_volume(mounted: Mounted) -> None:
    volume = mounted("noatime,nodiratime")
    names = ("volume-writable", "file-system", "mount-options", "free-space", "free-inodes")
    verdicts = {name: judged(name, volume) for name in names}
    assert {name: v for name, v in verdicts.items() if v.level is not Level.PASS} == {}


def test_a_disk_that_writes_access_times_is_a_warning(mounted: Mounted) -> None:
    verdict = judged("mount-options", mounted("relatime"))
    assert verdict.level is Level.WARN
    assert "noatime" in verdict.message


def test_a_disk_that_turned_read_only_fails(mounted: Mounted) -> None:
    volume = mounted("noatime")
    _run("mount", "-o", "remount,ro", str(volume))
    verdict = judged("volume-writable", volume)
    assert verdict.level is Level.FAIL
    assert "read-only" in verdict.message


def test_a_directory_of_the_volume_is_not_taken_for_the_volume(mounted: Mounted) -> None:
    volume = mounted("noatime")
    (volume / "below").mkdir()
    assert judged("file-system", volume / "below").level is Level.FAIL


def test_a_disk_that_is_nearly_full_fails_for_its_space(mounted: Mounted) -> None:
    volume = mounted("noatime")
    facts = volume_facts(volume)
    assert facts is not None
    with (volume / "much").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, int(facts.free_bytes * 0.97))
    assert judged("free-space", volume).level is Level.FAIL

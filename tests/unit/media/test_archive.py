from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.media.archive import ClipPlace, clip_place, part_file, reserve
from replay_operator.media.failure import CaptureFailedError


class _Fallocate:
    """The fallocate of a volume that answers with an error number."""

    argtypes: tuple[object, ...] = ()

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *_: object) -> int:
        ctypes.set_errno(self.number)
        return -1


def volume(monkeypatch: pytest.MonkeyPatch, *, fallocate_errno: int, free_bytes: int) -> None:
    library = SimpleNamespace(fallocate64=_Fallocate(fallocate_errno))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: library)
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=free_bytes, f_frsize=1))


@pytest.fixture
def place(tmp_path: Path) -> ClipPlace:
    return clip_place(str(tmp_path), "team/clip.mp4")


def test_a_clips_place_names_the_files_beside_it(tmp_path: Path, place: ClipPlace) -> None:
    assert place.relative == "team/clip.mp4"
    assert place.sidecar == tmp_path / "team" / "clip.json"
    assert place.part(2).name == ".clip.mp4.2.part"
    assert clip_place(str(tmp_path), str(tmp_path / "team" / "clip.mp4")) == place


def test_room_is_reserved_without_making_the_file_longer(place: ClipPlace) -> None:
    with part_file(place, 1) as descriptor:
        reserve(descriptor, place, 1_000_000)
        assert os.fstat(descriptor).st_size == 0
        assert os.fstat(descriptor).st_blocks * 512 >= 1_000_000
    assert list(place.clip.parent.iterdir()) == []


def test_a_volume_that_cannot_reserve_is_asked_for_its_free_space(
    place: ClipPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume(monkeypatch, fallocate_errno=errno.EOPNOTSUPP, free_bytes=1000)
    with part_file(place, 1) as descriptor:
        reserve(descriptor, place, 1000)
        assert place.part(1).exists()
    with pytest.raises(CaptureFailedError) as caught, part_file(place, 1) as descriptor:
        reserve(descriptor, place, 1001)
    assert caught.value.reason is CaptureErrorReason.ARCHIVE_FULL
    assert not place.part(1).exists()


def test_a_clip_that_does_not_fit_reserves_nothing(place: ClipPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    # The true fallocate, which would take it: ext4 takes all that is left before it refuses what is too much.
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=1000, f_frsize=1))
    with pytest.raises(CaptureFailedError) as caught, part_file(place, 1) as descriptor:
        reserve(descriptor, place, 1_000_000)
    assert caught.value.reason is CaptureErrorReason.ARCHIVE_FULL


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, CaptureErrorReason.ARCHIVE_FULL),
        (errno.EDQUOT, CaptureErrorReason.ARCHIVE_FULL),
        (errno.EIO, CaptureErrorReason.ARCHIVE_UNWRITABLE),
    ],
)
def test_what_the_volume_refuses_is_told_with_its_reason(
    place: ClipPlace, monkeypatch: pytest.MonkeyPatch, number: int, reason: CaptureErrorReason
) -> None:
    volume(monkeypatch, fallocate_errno=number, free_bytes=10**12)
    with pytest.raises(CaptureFailedError) as caught, part_file(place, 1) as descriptor:
        reserve(descriptor, place, 1000)
    assert caught.value.reason is reason

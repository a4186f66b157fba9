"""An archive volume that is too small by a little or by much: a whole clip, or a failure that says why."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason, CaptureRequest
from replay_operator.media import archive
from replay_operator.media.capture import make_clip, plan_clip
from replay_operator.media.extras import add_extras
from replay_operator.media.failure import CaptureFailedError
from tests.media.conftest import RequestMaker
from tests.media.worker_process import files

PAGE_BYTES = 4096

Volume = Callable[[int], Path]


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """Mounts a file system of so many bytes, or gives the one that is there another size."""
    place = tmp_path / "volume"
    place.mkdir()

    def mount(size_bytes: int) -> Path:
        remount = ["-o", "remount"] if mounted else []
        options = [*remount, "-o", f"size={size_bytes}", "tmpfs", str(place)]
        done = subprocess.run(["mount", "-t", "tmpfs", *options], capture_output=True, check=False, text=True)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small tmpfs: {done.stderr.strip()}")
        if not mounted:
            mounted.append(True)
            stack.callback(subprocess.run, ["umount", str(place)], check=True)
        return place

    mounted: list[bool] = []
    with ExitStack() as stack:
        yield mount


def contents(request: CaptureRequest) -> dict[str, bytes]:
    add_extras(*make_clip(request), thumbnail=True)
    return files(request)


def failure_of(request: CaptureRequest) -> CaptureFailedError | None:
    try:
        contents(request)
    except CaptureFailedError as error:
        return error
    return None


def clip_pages(_: CaptureRequest, whole: dict[str, bytes]) -> int:
    return -(-len(whole["clip-1a2b3c4d.mp4"]) // PAGE_BYTES)


def planned_pages(request: CaptureRequest, _: dict[str, bytes]) -> int:
    return -(-plan_clip(request).size_bytes // PAGE_BYTES)


@pytest.mark.parametrize(
    ("reserves", "pages_needed"),
    [(True, planned_pages), (False, clip_pages)],
    ids=["room is reserved", "others fill it up meanwhile"],
)
def test_at_ten_sizes_there_is_the_whole_clip_or_nothing_and_with_room_the_same_clip(
    healthy_run: Path,
    ask: RequestMaker,
    volume: Volume,
    monkeypatch: pytest.MonkeyPatch,
    *,
    reserves: bool,
    pages_needed: Callable[[CaptureRequest, dict[str, bytes]], int],
) -> None:
    request = ask(healthy_run, 3, 8)
    whole = contents(request)
    needed = pages_needed(request, whole)
    if not reserves:
        monkeypatch.setattr(archive, "_reserve", lambda *_: None)
    outcomes: list[str] = []
    # The last ones have room for the clip, but not for all that lies beside it.
    for pages in (1, *(needed * n // 10 for n in (3, 6, 9)), *range(needed - 1, needed + 5)):
        own = request.model_copy(update={"archive_directory": str(volume(pages * PAGE_BYTES))})
        failure = failure_of(own)
        found = files(own)
        outcomes.append(f"{pages} pages: {failure.reason if failure else ', '.join(sorted(found))}")
        if failure is not None:
            assert failure.reason is CaptureErrorReason.ARCHIVE_FULL, failure.message
            assert found == {}
        else:
            assert {"clip-1a2b3c4d.mp4", "clip-1a2b3c4d.json"} <= set(found) <= set(whole)
            assert found["clip-1a2b3c4d.mp4"] == whole["clip-1a2b3c4d.mp4"]
        # The next attempt makes what there was no room for, be it the picture.
        volume(4 * needed * PAGE_BYTES)
        assert contents(own) == whole
        empty(Path(own.archive_directory))
    print("\n".join(outcomes))
    assert len(outcomes) == 10
    assert "ArchiveFull" in outcomes[0]
    assert "mp4" in outcomes[-1]


def empty(directory: Path) -> None:
    for path in directory.iterdir():
        shutil.rmtree(path)

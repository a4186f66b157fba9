"""A clip appears whole, once, under a name that nothing else had; or it does not appear at all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason, CaptureRequest, CaptureResult
from replay_operator.media import archive, ffmpeg, plan
from replay_operator.media.capture import make_clip
from replay_operator.media.extras import add_extras
from replay_operator.media.failure import CaptureFailedError
from tests.media.clip_reader import box_order, decode_errors, shown_frames
from tests.media.conftest import RequestMaker


def refusal(request: CaptureRequest) -> CaptureFailedError:
    with pytest.raises(CaptureFailedError) as caught:
        make_clip(request)
    return caught.value


def files(request: CaptureRequest) -> list[str]:
    return sorted(p.name for p in Path(request.archive_directory).rglob("*") if p.is_file())


def test_the_clip_has_its_result_beside_it_and_nothing_else_is_left(
    healthy_run: Path, ask: RequestMaker
) -> None:
    request = ask(healthy_run, 3, 8)
    place, result = make_clip(request)
    assert files(request) == ["clip-1a2b3c4d.json", "clip-1a2b3c4d.mp4"]
    assert CaptureResult.model_validate_json(place.sidecar.read_bytes()) == result
    assert result.clip is not None
    assert result.clip.path == "team/alice/2026-11-22/clip-1a2b3c4d.mp4"


def test_no_reserved_block_stays_behind_the_end_of_the_clip(healthy_run: Path, ask: RequestMaker) -> None:
    place, _ = make_clip(ask(healthy_run, 3, 4))
    status = place.clip.stat()
    assert status.st_blocks * 512 < status.st_size + 2 * status.st_blksize


def test_ffmpeg_writes_into_the_reserved_blocks(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(healthy_run, 3, 4)
    part = Path(request.archive_directory, request.clip_path).with_name(".clip-1a2b3c4d.mp4.1.part")
    reserved: list[tuple[int, int]] = []

    def look(planned: plan.Plan, _: object) -> None:
        reserved.append((part.stat().st_blocks * 512, planned.size_bytes))

    monkeypatch.setattr("replay_operator.media.capture.verify", look)
    make_clip(request)
    ((blocks_bytes, planned_bytes),) = reserved
    assert blocks_bytes >= planned_bytes


def test_the_same_capture_again_gives_the_clip_that_is_there(healthy_run: Path, ask: RequestMaker) -> None:
    request = ask(healthy_run, 3, 8)
    place, result = make_clip(request)
    made = place.clip.stat()
    assert make_clip(request.model_copy(update={"attempt": 2}))[1] == result
    assert (place.clip.stat().st_ino, place.clip.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


@pytest.mark.parametrize("published", [True, False])
def test_what_killed_attempts_left_is_removed_by_the_next_one(
    healthy_run: Path, ask: RequestMaker, published: bool
) -> None:
    request = ask(healthy_run, 3, 8)
    folder = Path(request.archive_directory, request.clip_path).parent
    if published:
        make_clip(request)
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in (1, 2):
        (folder / f".clip-1a2b3c4d.mp4.{attempt}.part").write_bytes(b"half")
    (folder / ".other-1a2b3c4d.mp4.1.part").write_bytes(b"another capture's")
    make_clip(request.model_copy(update={"attempt": 3}))
    assert [name for name in files(request) if name.endswith(".part")] == [".other-1a2b3c4d.mp4.1.part"]


def test_the_name_of_another_captures_clip_is_refused_and_that_clip_is_not_touched(
    healthy_run: Path, ask: RequestMaker
) -> None:
    request = ask(healthy_run, 3, 8)
    place, _ = make_clip(request)
    before = place.clip.read_bytes(), place.sidecar.read_bytes()
    assert (
        refusal(request.model_copy(update={"capture_uid": "uid-2"})).reason is CaptureErrorReason.BAD_REQUEST
    )
    assert (place.clip.read_bytes(), place.sidecar.read_bytes()) == before


def test_a_clip_without_its_result_is_not_taken_for_ours(healthy_run: Path, ask: RequestMaker) -> None:
    request = ask(healthy_run, 3, 8)
    place, _ = make_clip(request)
    place.sidecar.unlink()
    assert refusal(request).reason is CaptureErrorReason.BAD_REQUEST


def test_a_name_that_is_taken_while_the_clip_is_made_is_not_overwritten(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(healthy_run, 3, 8)
    final = Path(request.archive_directory, request.clip_path)
    monkeypatch.setattr("replay_operator.media.capture.verify", lambda *_: final.write_text("a rival's clip"))
    assert refusal(request).reason is CaptureErrorReason.BAD_REQUEST
    assert final.read_text() == "a rival's clip"
    assert files(request) == ["clip-1a2b3c4d.mp4"]


@pytest.mark.parametrize(
    "path",
    [
        "../out.mp4",
        "a/../../out.mp4",
        "/etc/out.mp4",
        "clip.txt",
        ".hidden.mp4",
        ".mp4",
        "linked/out.mp4",
        "x" * 300 + ".mp4",
    ],
)
def test_a_path_that_leaves_the_archive_or_is_no_clips_name_is_refused(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    request = ask(healthy_run, 3, 8, clip_path=path)
    Path(request.archive_directory, "linked").symlink_to(outside)
    assert refusal(request).reason is CaptureErrorReason.BAD_REQUEST
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "out.mp4").exists()


def test_an_index_that_does_not_fit_in_front_is_written_the_slow_way(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_MOOV_BASE_BYTES", 900)
    monkeypatch.setattr(plan, "_MOOV_BYTES_PER_PACKET", {"video": 0, "audio": 0})
    place, _ = make_clip(ask(healthy_run, 3, 8))
    order = box_order(place.clip)
    assert order.index("moov") < order.index("mdat")
    assert decode_errors(place.clip) == ""
    assert [s.number for s in shown_frames(place.clip)][:3] == [90, 91, 92]


def test_a_corrupt_file_that_ffmpeg_is_content_with_is_never_published(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_MOOV_BASE_BYTES", 900)
    monkeypatch.setattr(plan, "_MOOV_BYTES_PER_PACKET", {"video": 0, "audio": 0})
    monkeypatch.setattr(ffmpeg, "MOOV_TOO_SMALL", "a line that ffmpeg never writes")
    monkeypatch.setattr(ffmpeg, "_FATAL_LINES", ())
    request = ask(healthy_run, 3, 8)
    # ffmpeg 5.1 ends with 0, and only the check sees it. 9.0 ends with an error itself.
    assert refusal(request).reason in (
        CaptureErrorReason.VERIFICATION_FAILED,
        CaptureErrorReason.JOIN_FAILED,
    )
    assert files(request) == []


def test_a_segment_that_changes_after_the_scan_is_noticed(
    run_copy: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join_after_damage(*arguments: object, **options: object) -> None:
        (run_copy / "seg_00002.ts").write_bytes(b"")
        ffmpeg.join(*arguments, **options)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr("replay_operator.media.capture.join", join_after_damage)
    request = ask(run_copy, 3, 8)
    assert refusal(request).reason is CaptureErrorReason.VERIFICATION_FAILED
    assert files(request) == []


def test_a_segment_that_is_gone_when_the_join_begins_fails_the_join(
    run_copy: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join_after_loss(*arguments: object, **options: object) -> None:
        (run_copy / "seg_00002.ts").unlink()
        ffmpeg.join(*arguments, **options)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr("replay_operator.media.capture.join", join_after_loss)
    request = ask(run_copy, 3, 8)
    assert refusal(request).reason is CaptureErrorReason.JOIN_FAILED
    assert files(request) == []


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system with 96 KiB."""
    volume = tmp_path / "small"
    volume.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(volume)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield volume
    finally:
        subprocess.run(["umount", str(volume)], check=True)


def test_a_full_archive_is_noticed_before_anything_is_written(
    healthy_run: Path, ask: RequestMaker, small_volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replay_operator.media.capture.join", lambda *_, **__: pytest.fail("it was joined"))
    request = ask(healthy_run, 0, 12, archive_directory=str(small_volume))
    assert refusal(request).reason is CaptureErrorReason.ARCHIVE_FULL
    assert files(request) == []


def test_an_archive_that_fills_up_under_ffmpeg_is_told_as_full(
    healthy_run: Path, ask: RequestMaker, small_volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_reserve", lambda *_: None)
    request = ask(healthy_run, 0, 12, archive_directory=str(small_volume))
    assert refusal(request).reason is CaptureErrorReason.ARCHIVE_FULL
    assert files(request) == []


def test_an_archive_that_cannot_be_written_is_told_so(
    healthy_run: Path, ask: RequestMaker, tmp_path: Path
) -> None:
    request = ask(healthy_run, 3, 8, archive_directory=str(tmp_path / "not mounted"))
    assert refusal(request).reason is CaptureErrorReason.ARCHIVE_UNWRITABLE


def test_the_unfinished_file_of_a_killed_attempt_is_replaced(healthy_run: Path, ask: RequestMaker) -> None:
    request = ask(healthy_run, 3, 8)
    final = Path(request.archive_directory, request.clip_path)
    final.parent.mkdir(parents=True)
    final.with_name(".clip-1a2b3c4d.mp4.1.part").write_bytes(b"x" * 1_000_000)
    final.with_suffix(".json").write_text('{"captureUid": "uid-1"}')
    place, _ = make_clip(request)
    assert decode_errors(place.clip) == ""
    assert files(request) == ["clip-1a2b3c4d.json", "clip-1a2b3c4d.mp4"]


def test_a_rival_that_takes_over_the_unfinished_name_is_not_published_by_mistake(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(healthy_run, 3, 8)
    part = Path(request.archive_directory, request.clip_path).with_name(".clip-1a2b3c4d.mp4.1.part")

    def take_over(*_: object) -> None:
        part.unlink()
        part.write_text("half a clip")

    monkeypatch.setattr("replay_operator.media.capture.verify", take_over)
    assert refusal(request).reason is CaptureErrorReason.ARCHIVE_UNWRITABLE
    assert files(request) == [part.name]
    assert part.read_text() == "half a clip"


def test_extras_are_the_digest_and_a_picture_of_the_first_key_frame_shown(
    healthy_run: Path, ask: RequestMaker
) -> None:
    place, result = make_clip(ask(healthy_run, 3, 8))
    complete = add_extras(place, result, thumbnail=True)
    assert complete.clip is not None
    digest = subprocess.run(["sha256sum", str(place.clip)], capture_output=True, check=True, text=True).stdout
    assert complete.clip.sha256 == digest.split()[0]
    assert complete.clip.thumbnail == "team/alice/2026-11-22/clip-1a2b3c4d.jpg"
    assert [s.number for s in shown_frames(place.picture)] == [120]
    assert json.loads(place.sidecar.read_text())["clip"]["sha256"] == complete.clip.sha256


def test_a_clip_without_a_key_frame_shown_has_a_picture_of_its_first_frame(
    healthy_run: Path, ask: RequestMaker
) -> None:
    place, result = make_clip(ask(healthy_run, 4.5, 5.5))
    add_extras(place, result, thumbnail=True)
    assert [s.number for s in shown_frames(place.picture)] == [135]


def test_a_picture_that_cannot_be_made_leaves_the_clip_as_it_is(
    healthy_run: Path, ask: RequestMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, result = make_clip(ask(healthy_run, 3, 8))
    monkeypatch.setenv("PATH", "/nonexistent")
    complete = add_extras(place, result, thumbnail=True)
    assert complete.clip is not None
    assert complete.clip.thumbnail is None
    assert place.clip.exists()
    assert not place.picture.exists()


def test_a_picture_never_replaces_a_file_that_was_there(healthy_run: Path, ask: RequestMaker) -> None:
    place, result = make_clip(ask(healthy_run, 3, 8))
    place.picture.write_text("somebody's picture")
    complete = add_extras(place, result, thumbnail=True)
    assert complete.clip is not None
    assert (complete.clip.thumbnail, place.picture.read_text()) == (None, "somebody's picture")
    assert list(place.clip.parent.glob(".*.part")) == []

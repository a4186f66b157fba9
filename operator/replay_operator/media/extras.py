"""What a clip gets after it is published: its digest and a picture. A failure here never fails a clip."""

from __future__ import annotations

import filecmp
import hashlib
import logging
import os

from replay_operator.api.capture_job import CaptureResult
from replay_operator.media.archive import ClipPlace, link_once
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.ffmpeg import run_ffmpeg
from replay_operator.media.publish import write_sidecar

_PICTURE_TIMEOUT_SECONDS = 30.0
_log = logging.getLogger(__name__)


def add_extras(place: ClipPlace, result: CaptureResult, *, thumbnail: bool) -> CaptureResult:
    """Add digest and picture to a published clip and to its sidecar.

    Args:
        place: Where the clip lies.
        result: The result so far.
        thumbnail: Also make a picture.

    Returns:
        The result with what could be added.
    """
    if result.clip is None:
        return result
    found: dict[str, str] = {}
    try:
        if result.clip.sha256 is None:
            found["sha256"] = _sha256(place)
        if thumbnail and result.clip.thumbnail is None and _make_picture(place):
            found["thumbnail"] = str(place.picture.relative_to(place.root))
        if not found:
            return result
        complete = result.model_copy(update={"clip": result.clip.model_copy(update=found)})
        write_sidecar(place, complete)
    except (OSError, CaptureFailedError) as error:
        _log.warning("the clip %s is complete, but not all of its extras: %s", place.relative, error)
        return result
    return complete


def _sha256(place: ClipPlace) -> str:
    with place.clip.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_picture(place: ClipPlace) -> bool:
    """Make a picture of the first key frame shown; of the first frame shown when there is none.

    A key frame costs one decoded frame, any other up to a whole segment of them.
    """
    part = place.picture.with_name(f".{place.picture.name}.{os.getpid()}.part")
    try:
        for skip in (["-skip_frame", "nokey"], []):
            arguments = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", *skip]
            arguments += ["-i", f"file:{place.clip}", "-map", "0:v:0", "-frames:v", "1", "-q:v", "3"]
            arguments += ["-f", "image2", "-update", "1", "-y", f"file:{part}"]
            result = run_ffmpeg(arguments, timeout_seconds=_PICTURE_TIMEOUT_SECONDS)
            if result.exit_code == 0 and part.exists() and part.stat().st_size:
                return _name_picture(place, part)
        _log.info("no picture of %s: %s", place.relative, result.last_lines)
        return False
    finally:
        part.unlink(missing_ok=True)


def _name_picture(place: ClipPlace, part: os.PathLike[str]) -> bool:
    descriptor = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        link_once(descriptor, place.picture)
    except FileExistsError:
        # The same picture of the same clip is ours: an attempt was killed before it could say so.
        if filecmp.cmp(part, place.picture, shallow=False):
            return True
        _log.warning("no picture of %s: %s exists and is left alone", place.relative, place.picture.name)
        return False
    finally:
        os.close(descriptor)
    return True

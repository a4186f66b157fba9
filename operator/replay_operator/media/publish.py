"""Gives a verified clip its final name, with its result beside it.

A retry that meets its own clip succeeds with that clip.
"""

from __future__ import annotations

from pydantic import ValidationError

from replay_operator.api.capture_job import CaptureErrorReason, CaptureResult
from replay_operator.media.archive import ClipPlace, archive_errors, link_once, make_durable, write_whole
from replay_operator.media.failure import CaptureFailedError


def published_before(place: ClipPlace, capture_uid: str) -> CaptureResult | None:
    """Find what an earlier attempt of the same capture has published.

    Raises:
        CaptureFailedError: BadRequest, when the name belongs to another clip.
    """
    with archive_errors(place.clip):
        if not place.clip.exists():
            return None
        size_bytes = place.clip.stat().st_size
    result = read_sidecar(place)
    if (
        result is not None
        and result.capture_uid == capture_uid
        and result.clip is not None
        and result.clip.bytes == size_bytes
    ):
        return result
    raise _taken(place)


def publish(descriptor: int, place: ClipPlace, result: CaptureResult) -> None:
    """Publish. The result is written first: a clip is never seen without it.

    Args:
        descriptor: The verified file.
        place: Where it goes.
        result: What to write beside it.

    Raises:
        CaptureFailedError: BadRequest when the name is taken, ArchiveFull, or ArchiveUnwritable.
    """
    with archive_errors(place.clip):
        make_durable(descriptor)
        if place.clip.exists():
            raise _taken(place)
        # What lies there without a clip is the trace of an attempt that was killed.
        write_sidecar(place, result)
        try:
            link_once(descriptor, place.clip)
        except FileExistsError as error:
            raise _taken(place) from error
        except OSError:
            place.sidecar.unlink(missing_ok=True)
            raise


def write_sidecar(place: ClipPlace, result: CaptureResult) -> None:
    """Write the result beside the clip.

    Raises:
        OSError: The volume refuses.
    """
    write_whole(place.sidecar, result.model_dump_json(by_alias=True, exclude_none=True))


def read_sidecar(place: ClipPlace) -> CaptureResult | None:
    """Read the result beside the clip; None when there is none, or one that nobody of us has written."""
    try:
        return CaptureResult.model_validate_json(place.sidecar.read_bytes())
    except (OSError, ValidationError):
        return None


def _taken(place: ClipPlace) -> CaptureFailedError:
    return CaptureFailedError(
        CaptureErrorReason.BAD_REQUEST,
        f"{place.relative} exists and belongs to another capture: choose another output name",
    )

"""Removes what attempts that were killed have left beside a clip."""

from __future__ import annotations

import re

from replay_operator.media.archive import ClipPlace, archive_errors
from replay_operator.media.publish import read_sidecar


def clear_leftovers(place: ClipPlace, capture_uid: str, attempt: int) -> None:
    """Remove the unfinished files of this and earlier attempts, and a result that lost its clip.

    None of them runs any more: the operator makes one Job after the other, and `podReplacementPolicy: Failed`
    one pod after the other.

    Args:
        place: The clip's place. The name is this capture's.
        capture_uid: The capture.
        attempt: Number of the attempt that begins. What a later one has begun is left alone.

    Raises:
        CaptureFailedError: ArchiveUnwritable.
    """
    unfinished = re.compile(
        rf"\.(?:{re.escape(place.clip.name)}\.(?P<attempt>\d+)"
        rf"|{re.escape(place.sidecar.name)}\.\d+|{re.escape(place.picture.name)}\.\d+)\.part"
    )
    with archive_errors(place.clip):
        for path in place.clip.parent.iterdir():
            found = unfinished.fullmatch(path.name)
            if found is not None and int(found["attempt"] or 0) <= attempt:
                path.unlink(missing_ok=True)
        told = read_sidecar(place)
        if told is not None and told.capture_uid == capture_uid and not place.clip.exists():
            place.sidecar.unlink(missing_ok=True)

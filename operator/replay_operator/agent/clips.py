"""Deletes clips from the archive volume when the operator says so, and only those of the capture it names.

Everything here blocks and is called through `FileWork`.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from replay_operator.agent.directories import names_in, open_below, read_below
from replay_operator.api.agent import ClipDeletion
from replay_operator.api.capture_job import CaptureResult

_LONGEST_NAME_BYTES = 255
"""NAME_MAX of Linux. A longer name is no error of the volume."""

_SIDECAR_LIMIT_BYTES = 16 * 1024 * 1024
"""All holes and gaps of four hours are far below it."""


class ClipRefusedError(Exception):
    """The file is not this capture's clip, or its path cannot be one: asking again changes nothing."""


class ClipArchive:
    """The mounted archive volume, as far as the agent may change it."""

    def __init__(self, root: Path) -> None:
        """Take the mount point.

        Args:
            root: Where the volume is mounted.
        """
        self._root = root

    def delete(self, wanted: ClipDeletion) -> None:
        """Delete a clip, its picture, its unfinished parts, and at last its sidecar.

        The sidecar is the proof whose clip it is. It goes last, so that a deletion that was cut short can be
        taken up again.

        Args:
            wanted: Which clip, and whose.

        Raises:
            ClipRefusedError: The path leaves the volume, or the clip belongs to somebody else.
            OSError: The volume refuses.
        """
        self._remove(wanted, with_what_lies_beside=True)

    def drop(self, wanted: ClipDeletion) -> None:
        """Delete a clip that is elsewhere too. Its picture stays, and its sidecar, which says whose it was.

        Args:
            wanted: Which clip, and whose.

        Raises:
            ClipRefusedError: The path leaves the volume, or the clip belongs to somebody else.
            OSError: The volume refuses.
        """
        self._remove(wanted, with_what_lies_beside=False)

    def _remove(self, wanted: ClipDeletion, *, with_what_lies_beside: bool) -> None:
        *directories, name = _parts(wanted)
        try:
            with open_below(self._root, *directories) as directory:
                present = set(names_in(directory))
                clip, stem = name, name.removesuffix(".mp4")
                sidecar = f"{stem}.json"
                if clip in present or sidecar in present:
                    self._check_owner((*directories, sidecar), wanted)
                beside = [f"{stem}.jpg", *_parts_of_attempts(present, stem), sidecar]
                doomed = [clip, *beside] if with_what_lies_beside else [clip]
                for found in (each for each in doomed if each in present):
                    with suppress(FileNotFoundError):
                        os.unlink(found, dir_fd=directory)
                os.fsync(directory)
        except FileNotFoundError:
            self._root.stat()  # a volume that is not mounted has not lost the clip
        except OSError as error:
            if error.errno not in (
                errno.ENOTDIR,
                errno.ELOOP,
            ):  # both mean a symbolic link or a file on the way
                raise
            raise ClipRefusedError(f"{wanted.path} is not below directories of the archive volume") from error

    def _check_owner(self, sidecar: tuple[str, ...], wanted: ClipDeletion) -> None:
        content = read_below(self._root, *sidecar, limit_bytes=_SIDECAR_LIMIT_BYTES)
        try:
            owner = CaptureResult.model_validate_json(content or b"").capture_uid
        except ValidationError as error:
            raise ClipRefusedError(
                f"{wanted.path} has no readable sidecar that says whose clip it is: delete it by hand"
            ) from error
        if owner != wanted.capture_uid:
            raise ClipRefusedError(f"{wanted.path} belongs to another capture ({owner}): it stays")


def clip_parts(path: str) -> tuple[str, ...] | None:
    """Take the path of a clip apart; None for one that leaves the archive volume or is hidden on it.

    Args:
        path: Relative to the volume.
    """
    parts = PurePosixPath(path).parts
    plain = all(map(_is_plain, parts))
    if not parts or not plain or PurePosixPath(path).is_absolute() or not parts[-1].endswith(".mp4"):
        return None
    return parts


def _is_plain(part: str) -> bool:
    try:
        fits = len(part.encode()) <= _LONGEST_NAME_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return fits and not part.startswith(".") and "\0" not in part


def _parts(wanted: ClipDeletion) -> tuple[str, ...]:
    """Take the path apart, and refuse one that the capture worker would not have written."""
    parts = clip_parts(wanted.path)
    if parts is None or not parts[-1].endswith(f"-{wanted.capture_uid[:8]}.mp4"):
        raise ClipRefusedError(f"{wanted.path!r} cannot be the clip of capture {wanted.capture_uid}")
    return parts


def _parts_of_attempts(present: set[str], stem: str) -> list[str]:
    """Give what killed attempts have left: unfinished clips, pictures and sidecars."""
    left_over = re.compile(rf"\.{re.escape(stem)}\.(mp4|jpg|json)\.\d+\.part")
    return sorted(name for name in present if left_over.fullmatch(name))

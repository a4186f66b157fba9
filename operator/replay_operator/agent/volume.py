"""The buffer volume as the agent changes and lists it: directories of runs, their `run.json`, their segments.

Everything here blocks and is called through `FileWork`. Deleting touches only files that the layout knows,
so that somebody else's file on the volume survives any mistake.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from replay_operator.agent.directories import (
    make_below,
    names_in,
    open_below,
    read_below,
    temporary_name,
    write_atomically,
)
from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import (
    INDEX_FILE,
    INDEX_PLAYLIST,
    LIVE_PLAYLIST,
    RUN_FILE,
    LayoutError,
    RunPath,
    buffer_path,
    is_manifest,
    segment_index,
    segment_name,
)

RUN_FILE_LIMIT_BYTES = 64 * 1024
"""More than any run.json needs; what is longer is not ours."""

_logger = logging.getLogger(__name__)
_RUN_FILE_MODE = 0o664
_RUN_FILES = {
    INDEX_PLAYLIST,
    LIVE_PLAYLIST,
    *(name for file in (RUN_FILE, INDEX_FILE) for name in (file, temporary_name(file))),
}


@dataclass(frozen=True, slots=True)
class Removal:
    """What a deletion did: the indices that are gone, and what stopped it before the rest."""

    gone: frozenset[int]
    error: OSError | None = None


class Volume:
    """One mounted buffer volume."""

    def __init__(self, root: Path) -> None:
        """Take the mount point.

        Args:
            root: Where the volume is mounted.
        """
        self.root = root

    def make_run(self, path: RunPath, wanted: RunFile) -> RunFile:
        """Make the directory of a run with its `run.json`, or update the file; give what it holds now.

        What an earlier call knew and this one does not is kept, above all `media_started_at_ns`.

        Args:
            path: The run.
            wanted: What is known of the run now.

        Raises:
            LayoutError: A name cannot be a directory name.
            OSError: The directory or the file cannot be written, or a part of the path is a symbolic link.
        """
        parts = _parts(path)
        make_below(self.root, *parts)
        merged = _merge(self.read_run_file(path), wanted)
        with open_below(self.root, *parts) as directory:
            content = merged.model_dump_json(by_alias=True, exclude_none=True).encode()
            write_atomically(directory, RUN_FILE, content, mode=_RUN_FILE_MODE)
        return merged

    def read_run_file(self, path: RunPath) -> RunFile | None:
        """Read `run.json` of a run, or give None when it is missing or not valid.

        Args:
            path: The run.

        Raises:
            OSError: The volume cannot be read.
        """
        content = read_below(self.root, *_parts(path), RUN_FILE, limit_bytes=RUN_FILE_LIMIT_BYTES)
        if content is None:
            return None
        try:
            return RunFile.model_validate_json(content)
        except ValidationError:
            return None

    def list_buffers(self) -> dict[str, list[RunPath]]:
        """List the buffer directories and their runs. Links and names that cannot be ours are passed over.

        Raises:
            OSError: The volume cannot be read.
        """
        buffers: dict[str, list[RunPath]] = {}
        for namespace in _directories(self.root):
            for uid in _directories(self.root / namespace):
                buffer = buffer_path(namespace, uid)
                runs = _directories(self.root / buffer)
                buffers[buffer] = [RunPath(namespace, uid, run) for run in runs]
        return buffers

    def directory(self, path: RunPath) -> Path:
        """Give the directory of a run.

        Args:
            path: The run.

        Raises:
            LayoutError: A name cannot be a directory name.
        """
        return self.root.joinpath(*_parts(path))

    def list_segments(self, path: RunPath) -> set[int]:
        """Give the indices of all segment files of a run, complete or not.

        Args:
            path: The run.

        Raises:
            OSError: The directory cannot be read.
        """
        try:
            with open_below(self.root, *_parts(path)) as directory, os.scandir(directory) as entries:
                return {index for entry in entries if (index := segment_index(entry.name)) is not None}
        except FileNotFoundError:
            return set()

    def remove_segments(self, path: RunPath, indices: Sequence[int]) -> Removal:
        """Delete segments of a run; one that is already missing counts as gone.

        Args:
            path: The run.
            indices: Which segments, in the order to delete them.
        """
        gone: set[int] = set()
        try:
            with open_below(self.root, *_parts(path)) as directory:
                for index in indices:
                    _unlink(directory, segment_name(index))
                    gone.add(index)
        except FileNotFoundError:
            return Removal(frozenset(indices))
        except OSError as error:
            return Removal(frozenset(gone), error)
        return Removal(frozenset(gone))

    def remove_run(self, path: RunPath) -> None:
        """Delete the directory of a run without segments, with what egress and agent left in it.

        Args:
            path: The run.

        Raises:
            OSError: Something cannot be deleted. ENOTEMPTY: the directory holds a segment or a file that is
                not ours, and nothing was deleted.
        """
        namespace, uid, run = _parts(path)
        try:
            with (
                open_below(self.root, namespace, uid) as buffer,
                open_below(self.root, namespace, uid, run) as directory,
            ):
                names = names_in(directory)
                if kept := next((name for name in names if not _is_left_over(name)), None):
                    raise OSError(errno.ENOTEMPTY, f"it still holds {kept!r}", path.relative)
                for name in names:
                    _unlink(directory, name)
                os.rmdir(run, dir_fd=buffer)
        except FileNotFoundError:
            return

    def remove_buffer(self, buffer: str) -> None:
        """Delete the empty directory of a buffer, and its namespace's when that is empty then.

        Args:
            buffer: Path of the buffer, relative to the volume.

        Raises:
            OSError: The directory cannot be deleted. ENOTEMPTY: it holds something that is not ours.
        """
        namespace, uid = PurePosixPath(buffer).parts
        try:
            with open_below(self.root, namespace) as parent:
                os.rmdir(uid, dir_fd=parent)
                others = names_in(parent)
        except FileNotFoundError:
            return
        if not others:
            with open_below(self.root) as volume:
                os.rmdir(namespace, dir_fd=volume)


def _parts(path: RunPath) -> tuple[str, ...]:
    return PurePosixPath(path.relative).parts


def _is_directory_name(name: str) -> bool:
    try:
        return bool(buffer_path(name, name))
    except LayoutError:
        return False


def _directories(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return sorted(
                entry.name
                for entry in entries
                if _is_directory_name(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except FileNotFoundError:
        return []
    except PermissionError as error:
        # What we cannot list we did not make: somebody else's directory must not stop the scan.
        _logger.warning("%s on the buffer volume is passed over: %s", parent, error.strerror)
        return []


def _is_left_over(name: str) -> bool:
    return name in _RUN_FILES or is_manifest(name)


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return


def _merge(known: RunFile | None, wanted: RunFile) -> RunFile:
    if known is None:
        return wanted
    return known.model_copy(update=wanted.model_dump(exclude_none=True))

"""The place of a clip on the archive volume, and how a clip gets there: whole, once, or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event, Thread

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.media.failure import CaptureFailedError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CANNOT_ALLOCATE = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_FALLOC_FL_KEEP_SIZE = 1
_SYNC_FILE_RANGE_WRITE = 2
_WRITE_BACK_SECONDS = 0.1
_MAX_NAME_BYTES = 255 - len("..4294967295.part")


@dataclass(frozen=True, slots=True)
class ClipPlace:
    """Where one clip and the files beside it lie. The directory exists and is inside the archive."""

    root: Path
    clip: Path

    @property
    def relative(self) -> str:
        """The clip's path on the archive volume."""
        return str(self.clip.relative_to(self.root))

    @property
    def sidecar(self) -> Path:
        """The result as JSON."""
        return self.clip.with_suffix(".json")

    @property
    def picture(self) -> Path:
        """The thumbnail."""
        return self.clip.with_suffix(".jpg")

    def part(self, attempt: int) -> Path:
        """The unfinished clip of one attempt: hidden, and never the name of another attempt."""
        return self.clip.with_name(f".{self.clip.name}.{attempt}.part")


def clip_place(archive_directory: str, clip_path: str) -> ClipPlace:
    """Find the clip's place and make its directory.

    Args:
        archive_directory: Where the archive volume is mounted.
        clip_path: The clip, relative to it (or absolute and inside it), ending in `.mp4`.

    Raises:
        CaptureFailedError: BadRequest when the path leaves the archive, by `..` or by a symbolic link;
            ArchiveFull or ArchiveUnwritable when the directory cannot be made.
    """
    with archive_errors(archive_directory):
        root = Path(archive_directory).resolve(strict=True)
        wanted = PurePosixPath(clip_path)
        if wanted.is_absolute() and wanted.is_relative_to(archive_directory):
            wanted = wanted.relative_to(archive_directory)
        name = wanted.name
        if wanted.is_absolute() or ".." in wanted.parts or "\0" in clip_path or name.startswith("."):
            raise _bad_path(clip_path, "it has to stay inside the archive")
        if not name.endswith(".mp4") or name == ".mp4" or len(name.encode()) > _MAX_NAME_BYTES:
            raise _bad_path(clip_path, f"its name has to end in .mp4, with at most {_MAX_NAME_BYTES} bytes")
        directory = root
        for part in wanted.parent.parts:
            directory /= part
            if directory.is_symlink():
                raise _bad_path(clip_path, f"{directory} is a symbolic link")
            directory.mkdir(exist_ok=True)
        return ClipPlace(root=root, clip=directory / name)


@contextmanager
def archive_errors(place: str | Path) -> Iterator[None]:
    """Turn what the archive volume refuses into a failure with a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise archive_full(place) from error
        raise CaptureFailedError(
            CaptureErrorReason.ARCHIVE_UNWRITABLE,
            f"cannot write {place}: {error.strerror or error}. Check the archive volume and its permissions",
        ) from error


def archive_full(place: str | Path) -> CaptureFailedError:
    """Make the failure that says that the archive volume is full."""
    return CaptureFailedError(
        CaptureErrorReason.ARCHIVE_FULL,
        f"the archive volume has no room for {place}: delete old clips or enlarge the volume",
    )


@contextmanager
def part_file(place: ClipPlace, attempt: int) -> Iterator[int]:
    """Hold a file for the unfinished clip. It is gone at the end, published or not.

    Args:
        place: The clip's place.
        attempt: Number of this attempt.

    Yields:
        A descriptor of the file at `place.part(attempt)`.

    Raises:
        CaptureFailedError: ArchiveFull or ArchiveUnwritable.
    """
    path = place.part(attempt)
    with archive_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        with suppress(OSError):
            # Another process may have taken the name over; its file stays.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                path.unlink()
        os.close(descriptor)


def reserve(descriptor: int, place: ClipPlace, size_bytes: int) -> None:
    """Reserve room for the unfinished clip, so that a full disk shows now and not at 99 %.

    Args:
        descriptor: The file.
        place: The clip's place.
        size_bytes: Upper bound of the clip's size.

    Raises:
        CaptureFailedError: ArchiveFull or ArchiveUnwritable.
    """
    with archive_errors(place.clip):
        _reserve(descriptor, size_bytes)


def _reserve(descriptor: int, size_bytes: int) -> None:
    """Reserve blocks behind the end of the file.

    `os.posix_fallocate` would extend the file, and emulate by writing zeros where it is unsupported.
    Free space comes first: ext4 takes all that is left before it refuses, and others would find it full.
    """
    volume = os.fstatvfs(descriptor)
    if volume.f_bavail * volume.f_frsize < size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(descriptor, _FALLOC_FL_KEEP_SIZE, 0, size_bytes) == 0:
        return
    number = ctypes.get_errno()
    if number not in _CANNOT_ALLOCATE:
        raise OSError(number, os.strerror(number))


@contextmanager
def written_back_early(descriptor: int) -> Iterator[None]:
    """Have a file written to the disk while it grows, so that little is left to wait for at its end.

    Args:
        descriptor: The file.
    """
    over = Event()
    thread = Thread(target=_write_back, args=(descriptor, over), name="write-back", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _write_back(descriptor: int, over: Event) -> None:
    sync_file_range = ctypes.CDLL(None).sync_file_range
    sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    while not over.wait(_WRITE_BACK_SECONDS):
        # Only a hint: what a volume refuses or forgets, `make_durable` does.
        sync_file_range(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


def make_durable(descriptor: int) -> None:
    """Give back what was reserved too much, and wait until the file is on the disk."""
    os.ftruncate(descriptor, os.fstat(descriptor).st_size)
    os.fsync(descriptor)


def link_once(descriptor: int, final: Path) -> None:
    """Give an open file its final name, never over another file, and make the name durable.

    Linked through the descriptor: if another process has taken over the `.part` name, its unfinished
    file cannot be published by mistake.

    Raises:
        FileExistsError: The name is taken.
        OSError: The volume refuses; it has to support hard links.
    """
    directory = os.open(final.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{descriptor}", final.name, dst_dir_fd=directory, follow_symlinks=True)
        os.fsync(directory)
    finally:
        os.close(directory)


def write_whole(path: Path, text: str) -> None:
    """Replace a small file by one rename, so that a reader never meets half of it.

    Raises:
        OSError: The volume refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _bad_path(clip_path: str, why: str) -> CaptureFailedError:
    return CaptureFailedError(
        CaptureErrorReason.BAD_REQUEST, f"cannot make a clip at {clip_path!r}: {why}. Choose another name"
    )

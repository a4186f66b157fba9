"""Where things lie on the two volumes: the only place that builds or takes apart such a path.

Buffer volume:  `<root>/<namespace>/<buffer uid>/<run>/seg_00000.ts`; playlists, `run.json`, index beside.
Archive volume: `<root>/<namespace>/<owner>/<date>/<name>-<short uid>.mp4`, sidecar and picture beside.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

SEGMENT_STEM = "seg"
INDEX_PLAYLIST = "index.m3u8"
LIVE_PLAYLIST = "live.m3u8"
RUN_FILE = "run.json"
INDEX_FILE = "segments.index"

_PART = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}\Z")
_SEGMENT = re.compile(rf"^{SEGMENT_STEM}_(\d{{5,9}})\.ts\Z")
_MANIFEST = re.compile(r"^EG_[A-Za-z0-9]+\.json\Z")
_PART_OF_CLIP = re.compile(r"^\..+-(?P<uid>[^.-]{8})\.(?:mp4|jpg|json)\.\d+\.part\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class LayoutError(ValueError):
    """A name that must not become part of a path."""


def _part(value: str, what: str) -> str:
    if not _PART.match(value):
        raise LayoutError(
            f"{what} {value!r} cannot be a directory name: use letters, digits, '.', '_' and '-'"
        )
    return value


@dataclass(frozen=True, slots=True)
class RunPath:
    """One run of one buffer, as a place on the buffer volume."""

    namespace: str
    buffer_uid: str
    run: str

    @property
    def buffer(self) -> str:
        """Directory of the buffer, relative to the volume."""
        return buffer_path(self.namespace, self.buffer_uid)

    @property
    def relative(self) -> str:
        """Directory of the run, relative to the volume."""
        return f"{self.buffer}/{_part(self.run, 'run')}"

    def filename_prefix(self, root: str) -> str:
        """Give egress's `filename_prefix` for a volume that its worker mounts at `root`."""
        return str(PurePosixPath(root) / self.relative / SEGMENT_STEM)


def buffer_path(namespace: str, buffer_uid: str) -> str:
    """Give the directory of a buffer, relative to the buffer volume."""
    return f"{_part(namespace, 'namespace')}/{_part(buffer_uid, 'buffer uid')}"


def parse_filename_prefix(prefix: str, root: str) -> RunPath | None:
    """Find the run that an egress writes, or None when the egress is not one of ours.

    Args:
        prefix: `filename_prefix` of an egress.
        root: Where the worker mounts the buffer volume.
    """
    try:
        parts = PurePosixPath(prefix).relative_to(root).parts
    except ValueError:
        return None
    if len(parts) != 4 or parts[3] != SEGMENT_STEM or not all(_PART.match(p) for p in parts):  # noqa: PLR2004 - namespace, uid, run, stem
        return None
    return RunPath(namespace=parts[0], buffer_uid=parts[1], run=parts[2])


def run_name(now: datetime, nonce: str) -> str:
    """Make a directory name for a new run that sorts by time and is never used twice.

    A prefix that is used twice is overwritten by egress without a word (livekit-measured §2).

    Args:
        now: When the run is asked for.
        nonce: A few random hexadecimal digits.
    """
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{_part(nonce, 'nonce')}"


def segment_name(index: int) -> str:
    """Give the file name of a segment, as egress writes it (five digits or more)."""
    return f"{SEGMENT_STEM}_{index:05d}.ts"


def segment_index(name: str) -> int | None:
    """Read the index from a segment's file name, or None when it is no segment."""
    match = _SEGMENT.match(name)
    return int(match.group(1)) if match else None


def is_manifest(name: str) -> bool:
    """Say whether a file beside the segments is the manifest that egress leaves at a regular end."""
    return bool(_MANIFEST.match(name))


def sanitise(value: str) -> str:
    """Turn any text into one safe path part, never empty and never starting with a dot."""
    return _UNSAFE.sub("-", value).strip("-.")[:100] or "unnamed"


def clip_path(*, namespace: str, owner: str | None, day: datetime, name: str, uid: str) -> str:
    """Give the clip's path relative to the archive volume. The short uid makes it unique.

    Args:
        namespace: Namespace of the capture.
        owner: Owner of the buffer, if it has one.
        day: The clip's start; its UTC date becomes a directory.
        name: Wished file name without ending.
        uid: UID of the capture.
    """
    return "/".join(
        (
            _part(namespace, "namespace"),
            sanitise(owner) if owner else "shared",
            f"{day.astimezone(UTC):%Y-%m-%d}",
            f"{sanitise(name)}-{uid[:8]}.mp4",
        )
    )


def abandoned_part(name: str, live_uids: Collection[str]) -> bool:
    """Say whether a file is what a capture has begun on the archive volume and will not finish.

    Args:
        name: File name.
        live_uids: UIDs of the captures that may still write. A name tells only the first eight characters.
    """
    found = _PART_OF_CLIP.match(name)
    return found is not None and not any(uid.startswith(found["uid"]) for uid in live_uids)

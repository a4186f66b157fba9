"""Which clips may go though nobody deleted them: only what an install has opted into. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ClipRetentionLimits:
    """What an install keeps of the clips whose ReplayCapture is gone; None: all.

    Attributes:
        age: A clip goes when it has been finished for so long.
        quota_percent: The oldest of an owner go when its clips take more than so much of its archive quota.
    """

    age: timedelta | None = None
    quota_percent: int | None = None

    @property
    def none_set(self) -> bool:
        """Whether every clip is kept."""
        return self == ClipRetentionLimits()


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip on the archive volume, as the catalogue has it. `url` names it in object storage."""

    uid: str
    owner: str | None
    path: str
    quota_bytes: int
    created_at: datetime
    finished_at: datetime
    url: str | None = None


def beyond_quota(clips: Iterable[KeptClip], *, used_bytes: int, most_bytes: int) -> list[KeptClip]:
    """Give the clips that have to go until an owner takes no more than it may.

    One that is in object storage only takes nothing: it stays.

    Args:
        clips: Of the owner, oldest first, and only those that may go at all.
        used_bytes: What all clips of the owner take, and what is reserved for further ones.
        most_bytes: What it may take.
    """
    doomed = []
    for clip in clips:
        if used_bytes <= most_bytes:
            break
        if clip.quota_bytes == 0:
            continue
        doomed.append(clip)
        used_bytes -= clip.quota_bytes
    return doomed

"""How a clip is cut into parts for S3, which of them need not be sent again, what they sum to. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MEBIBYTE = 2**20
USUAL_PART_BYTES = 8 * _MEBIBYTE
"""S3 wants 5 MiB at least of all parts but the last. A killed attempt loses the parts under way."""

MOST_PARTS = 10_000
"""What S3 takes of one object."""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the clip. S3 counts parts from 1."""

    number: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part as the bucket has it. `sha256` is None where the server keeps none."""

    number: int
    length: int
    etag: str
    sha256: str | None


def part_bytes(clip_bytes: int) -> int:
    """Give the length of all parts but the last. Each attempt cuts alike, so that it knows the parts again.

    Args:
        clip_bytes: Size of the clip.
    """
    least = -(-clip_bytes // MOST_PARTS)
    return max(USUAL_PART_BYTES, -(-least // _MEBIBYTE) * _MEBIBYTE)


def parts_of(clip_bytes: int) -> tuple[Part, ...]:
    """Cut a clip into parts.

    Args:
        clip_bytes: Size of the clip, at least 1.
    """
    length = part_bytes(clip_bytes)
    return tuple(
        Part(number, offset, min(length, clip_bytes - offset))
        for number, offset in enumerate(range(0, clip_bytes, length), start=1)
    )


def in_base64(digest: bytes) -> str:
    """Write a digest as S3 does."""
    return base64.b64encode(digest).decode()


def is_there(part: Part, digest: bytes, sent: SentPart | None) -> bool:
    """Say whether the bucket has exactly these bytes. Without a checksum of the server it does not count.

    Args:
        part: What is to be sent.
        digest: SHA-256 of its bytes.
        sent: What the bucket has under its number.
    """
    return sent is not None and (sent.length, sent.sha256) == (part.length, in_base64(digest))


def composite_checksum(digests: Sequence[bytes]) -> str:
    """Give what S3 keeps as SHA-256 of an object made of parts: that of the parts' digests, and their number.

    Args:
        digests: SHA-256 of each part, in order.
    """
    return f"{in_base64(hashlib.sha256(b''.join(digests)).digest())}-{len(digests)}"


def same_checksum(told: str, digests: Sequence[bytes]) -> bool:
    """Compare the checksum of an object with that of its parts.

    Args:
        told: By the server. S3 adds the number of parts in some answers and leaves it out in others.
        digests: SHA-256 of each part, in order.
    """
    wanted = composite_checksum(digests)
    return told in (wanted, wanted.rpartition("-")[0])


def oldest_upload(begun: Iterable[tuple[str, str]]) -> str | None:
    """Choose the upload to go on with: two workers that meet choose the same.

    Args:
        begun: When each began, as S3 writes it, and its id.
    """
    return min(begun, default=("", None))[1]

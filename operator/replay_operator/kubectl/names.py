"""Names of the objects that the plugin makes. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

_LONGEST = 63
"""Of a name: it becomes the value of labels and part of a Job's name."""

_DIGEST = 6


def object_name(*parts: str) -> str:
    """Make one name of words that may hold anything.

    Words that have to be changed for it get a digest behind them: two rooms that differ only in such letters
    have two names.

    Args:
        parts: What the name shall tell, such as the room and the identity.
    """
    said = "-".join(parts)
    plain = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")
    if plain == said and len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_DIGEST]
    stem = plain[: _LONGEST - _DIGEST - 1].strip("-")
    return f"{stem}-{digest}" if stem else f"replay-{digest}"


def capture_name(buffer: str, moment: datetime) -> str:
    """Name a capture by its buffer and its moment, to the millisecond.

    Args:
        buffer: The buffer's name.
        moment: The moment that is saved.
    """
    stamp = f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}"
    return f"{buffer[: 253 - len(stamp) - 1].rstrip('-.')}-{stamp}"

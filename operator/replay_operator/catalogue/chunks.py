"""Many uids in statements of a bounded size."""

from __future__ import annotations

from collections.abc import Collection

CHUNK = 500
"""Uids in one statement: both engines take 32766 values, and short statements hold locks shortly."""


def chunks(uids: Collection[str]) -> list[list[str]]:
    """Cut uids into lists of at most CHUNK, in an order that is always the same.

    Args:
        uids: Any number, each once.
    """
    ordered = sorted(uids)
    return [ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK)]

"""Sizes for people. Pure."""

from __future__ import annotations

_STEP = 1024


def human_bytes(count: int) -> str:
    """Write a number of bytes with a binary unit and three digits, such as 1.25GiB.

    Args:
        count: Bytes.
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _STEP:
            return f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"  # noqa: PLR2004 - three digits
        value /= _STEP
    return f"{value:.3g}TiB"

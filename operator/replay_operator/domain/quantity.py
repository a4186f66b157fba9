"""Kubernetes quantities of storage: `20Gi`, `100G`, `1.5Ti`.

Own, because the client's parser loads the whole synchronous client with it: tens of megabytes.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

GIB = 2**30

_FORM = re.compile(r"(\d+(?:\.\d+)?)([eE]\d+|[kMGTPE]i?|Ki)?")
_DECIMAL = {"k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse_quantity(text: str) -> int:
    """Give the bytes of a quantity, rounded up to whole ones as the API server does.

    Args:
        text: Such as `20Gi`.

    Raises:
        ValueError: It is no quantity of storage.
    """
    found = _FORM.fullmatch(text)
    number, suffix = found.groups(default="") if found else ("", "")
    if not number or suffix == "ki":
        raise ValueError(
            f"{text!r} is no quantity of storage: write bytes, or a number with Gi or Ti, like 20Gi"
        )
    if suffix in _BINARY:
        factor = Decimal(1024) ** _BINARY[suffix]
    elif suffix in _DECIMAL:
        factor = Decimal(1000) ** _DECIMAL[suffix]
    else:
        factor = Decimal(10) ** int(suffix[1:] or 0)
    return math.ceil(Decimal(number) * factor)


def format_quantity(size_bytes: int) -> str:
    """Write bytes as people write sizes of claims: in whole Gi or Mi where they are, else as bytes.

    Args:
        size_bytes: The size in bytes.
    """
    for suffix, factor in (("Gi", GIB), ("Mi", 2**20)):
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{suffix}"
    return str(size_bytes)

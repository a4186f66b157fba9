"""Adds what npm fetches into the image to a bill of materials: `python -m release.bill <lock> <bill>`."""

from __future__ import annotations

import sys
from pathlib import Path

from release.npm_packages import npm_packages, with_packages


def main(lock: Path, bill: Path) -> None:
    """Write the bill anew.

    Args:
        lock: A `package-lock.json`.
        bill: CycloneDX, as JSON.
    """
    bill.write_text(with_packages(bill.read_text(), npm_packages(lock.read_text())))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

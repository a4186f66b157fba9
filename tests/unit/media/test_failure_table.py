"""The table in docs/captures.md of what cannot spoil a clip names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "captures.md").read_text()
TABLE = DOCUMENT.partition("## What cannot spoil a clip")[2].partition("\n## ")[0]
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ") and "`tests/" not in line][1:]
NAMES = {
    name
    for path in (ROOT / "tests" / "media").glob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("row", ROWS, ids=[row.split("|")[1].strip() for row in ROWS])
def test_each_row_names_a_test_that_there_is(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", row)
    assert named
    assert set(named) <= NAMES

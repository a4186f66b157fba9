"""What `make` says that a target does without further words is what it does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEFAULT = re.compile(r"^([a-z-]+):.*?## .*?\b([A-Z]+)=([a-z0-9.]+(?:,[a-z0-9.]+)+)", re.MULTILINE)
SAID = DEFAULT.findall((ROOT / "Makefile").read_text())


@pytest.mark.parametrize(("target", "variable", "choices"), SAID)
def test_a_list_that_a_target_names_as_its_default_is_its_whole_default(
    target: str, variable: str, choices: str
) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert choices in shown
    chosen = subprocess.run(
        ["make", "--dry-run", target, f"{variable}=one,two"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "one,two" in chosen
    assert choices not in chosen

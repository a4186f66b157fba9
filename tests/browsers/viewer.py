"""What the tests do in the agent's page, as one expression: Firefox evaluates nothing else."""

from __future__ import annotations

from pathlib import Path

_SCRIPTS = (Path(__file__).with_name(name).read_text() for name in ("counter.js", "viewer.js"))
VIEWER = f"[{','.join(_SCRIPTS)}]"

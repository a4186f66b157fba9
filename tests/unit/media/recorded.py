"""The few segments of real egress runs that lie in tests/data/media (recorded with egress 1.14.1)."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parents[2] / "data" / "media"

MUTED_VIDEO = _DATA / "muted-video-720p30-6s"
"""The picture pauses for 2.06 s in segment 6, where the muted video came back."""

KILLED = _DATA / "killed-720p30-6s"
"""The last two segments of a run whose worker was killed."""

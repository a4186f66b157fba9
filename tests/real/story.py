"""The install, the people and the buffers of the tests with the operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.flow.conftest import buffer_object, capture_object
from tests.real.people import Publisher, Viewer
from tests.stack.stack import Stack

ROOM = "standup"
READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished capture."""

    file: Path
    start: datetime
    end: datetime
    clip: Mapping[str, Any]


@dataclass(slots=True)
class Story:
    """What has happened so far.

    Attributes:
        stack: The install.
        alice: Shares her screen with its sound, and talks.
        bob: Shows his face, and talks.
        viewer: The witness.
        screens: Ids of the tracks that alice's screen has had.
    """

    stack: Stack
    alice: Publisher
    bob: Publisher
    viewer: Viewer
    screens: list[str] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)

    def record(self, name: str, identity: str, **sources: str) -> None:
        """Make a buffer."""
        participant = {"identity": identity, **sources}
        self.stack.apply(buffer_object(name, {"room": ROOM, "source": {"participant": participant}}))

    def window(self, buffer: str) -> tuple[datetime, datetime] | None:
        """How far a buffer reaches on disk; None without anything."""
        path = self.status(buffer).get("storage", {}).get("path")
        runs = [run for b in self.stack.coverage().buffers if b.path == path for run in b.runs]
        told = [(run.oldest, run.newest) for run in runs if run.oldest and run.newest]
        return (min(old for old, _ in told), max(new for _, new in told)) if told else None

    def wait_for_window(self, buffer: str, seconds: float) -> datetime:
        """Wait until a buffer reaches so far back; give its newest instant."""

        def look() -> datetime | None:
            window = self.window(buffer)
            long_enough = window is not None and window[1] - window[0] >= timedelta(seconds=seconds)
            return window[1] if window is not None and long_enough else None

        return self.stack.wait_for(f"{seconds} s of {buffer}", look, seconds=READY_SECONDS)

    def wait_until_it_reaches(self, buffer: str, instant: datetime) -> None:
        """Wait until what was captured at an instant is on disk."""

        def look() -> bool:
            window = self.window(buffer)
            return window is not None and window[1] >= instant

        self.stack.wait_for(f"{buffer} at {instant:%T}", look, seconds=READY_SECONDS)

    def status(self, buffer: str) -> dict[str, Any]:
        """A buffer's status."""
        status: dict[str, Any] = (self.stack.get("rb", buffer) or {}).get("status", {})
        return status

    def save(self, name: str, buffer: str, start: datetime, end: datetime) -> Saved:
        """Capture from one instant to another, to the millisecond."""
        asked = {"start": _rfc3339(start), "end": _rfc3339(end)}
        self.stack.apply(capture_object(name, buffer, range={"between": asked}))
        capture = self.stack.wait_for_condition("rcap", name, "Ready", seconds=READY_SECONDS)
        clip = capture["status"]["clip"]
        start, end = (datetime.fromisoformat(asked[side]) for side in ("start", "end"))
        return Saved(self.stack.clip_file(clip["path"]), start, end, clip)

    def segments(self, buffer: str) -> Sequence[Path]:
        """The segments of a buffer's present run."""
        status = self.status(buffer)
        return self.stack.segments(f"{status['storage']['path']}/{status['egress']['run']}")

    def share_screen(self) -> None:
        """Let alice share her screen with its sound, again if she has stopped."""
        self.screens.append(self.alice.publish("SCREEN_SHARE"))
        self.alice.publish("SCREEN_SHARE_AUDIO")

    def wait_for_recording(self, buffer: str, *, after: datetime, tracks: AbstractSet[str]) -> datetime:
        """Wait until a run that began after an instant records these tracks; give its first instant."""

        def look() -> datetime | None:
            status = self.status(buffer)
            began = status.get("egress", {}).get("startedAt")
            if began is None or not tracks <= status.get("tracks", {}).keys():
                return None
            return instant if (instant := datetime.fromisoformat(began)) > after else None

        return self.stack.wait_for(f"{buffer} with {sorted(tracks)}", look, seconds=READY_SECONDS)

    def wait_for_reason(self, buffer: str, reason: str) -> None:
        """Wait until the condition Recording has a reason."""
        self.stack.wait_for(
            f"{buffer}: {reason}",
            lambda: (self.stack.condition("rb", buffer, "Recording") or {}).get("reason") == reason,
            seconds=READY_SECONDS,
        )

    def stop_sharing(self) -> None:
        """Let alice stop."""
        self.alice.unpublish("SCREEN_SHARE")
        self.alice.unpublish("SCREEN_SHARE_AUDIO")

    def arrived(self, tracks: Sequence[str]) -> list[int]:
        """The numbers of the pictures that the witness got."""
        return [number for track in tracks for number in self.viewer.numbers(track)]


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")

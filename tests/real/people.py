"""Those who are in a room, each a process of its own, as they are computers of their own elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from livekit.api import AccessToken, VideoGrants

from tests.stack.images import CHECKOUT

_LEAVE_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Door:
    """Where rooms are and what lets people in."""

    url: str
    api_key: str
    api_secret: str

    def token(self, room: str, identity: str) -> str:
        """Let somebody in."""
        grants = VideoGrants(room_join=True, room=room)
        token = AccessToken(self.api_key, self.api_secret).with_identity(identity)
        return token.with_grants(grants).to_jwt()


class _Person:
    """A process that is in the room until it is told to leave, or killed."""

    def __init__(self, module: str, door: Door, room: str, identity: str, told: Path, *more: str) -> None:
        self.told = told
        command = [sys.executable, "-m", module, door.url.replace("http", "ws", 1)]
        with told.with_suffix(".log").open("wb") as log, told.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *more],
                cwd=CHECKOUT,
                env={**os.environ, "LIVEKIT_TOKEN": door.token(room, identity)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if module.endswith("publisher") else output,
                stderr=log,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Say goodbye and go; one who does not go in time is put out."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Vanish without a word."""
        self._process.kill()
        self._process.wait()


class Publisher(_Person):
    """One who publishes a counter and a tone."""

    def __init__(
        self, door: Door, room: str, identity: str, directory: Path, *, first_number: int = 0
    ) -> None:
        """Join.

        Args:
            door: Where.
            room: Its name.
            identity: Who.
            directory: For the log.
            first_number: Of the frame counter.
        """
        told = directory / f"{identity}.out"
        super().__init__("tests.real.publisher", door, room, identity, told, str(first_number))
        self._answer()

    def publish(self, source: str) -> str:
        """Publish CAMERA, MICROPHONE, SCREEN_SHARE or SCREEN_SHARE_AUDIO; give the id of the track."""
        return str(self._tell("publish", source)["sid"])

    def unpublish(self, source: str) -> None:
        """Take a track away."""
        self._tell("unpublish", source)

    def mute(self, source: str, *, muted: bool = True) -> None:
        """Mute or unmute a track."""
        self._tell("mute" if muted else "unmute", source)

    def _tell(self, verb: str, source: str) -> Mapping[str, Any]:
        if self._process.stdin is None:
            raise RuntimeError("a publisher that has left publishes nothing")
        self._process.stdin.write(json.dumps({verb: source}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Mapping[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the publisher ended:\n{self.told.with_suffix('.log').read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Viewer(_Person):
    """The witness: who gets everything that the room gives to anybody."""

    def __init__(self, door: Door, room: str, directory: Path) -> None:
        """Join.

        Args:
            door: Where.
            room: Its name.
            directory: For what it tells.
        """
        super().__init__("tests.real.viewer", door, room, "viewer", directory / f"viewer-{room}.jsonl")

    def numbers(self, sid: str) -> list[int]:
        """The numbers of the pictures that have arrived of a track."""
        return [line["number"] for line in self._lines(sid) if "number" in line]

    def positions(self, sid: str) -> list[float | None]:
        """What the tone of a track has told, second by second."""
        return [line["position"] for line in self._lines(sid) if "position" in line]

    def _lines(self, sid: str) -> list[dict[str, Any]]:
        whole = self.told.read_text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["sid"] == sid]

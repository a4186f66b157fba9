"""What captures that are being made hold free: from their status, and nothing that outlives them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.controller.reservations import Reservations
from replay_operator.controller.store import Follower, ObjectStore
from tests.builders import BUFFER_UID, CAPTURE_UID, NOW, at, buffer_body, capture_body, rfc3339

OWNER = "user-42"


def admitted() -> dict[str, Any]:
    body = capture_body()
    body["status"] = {
        "source": {"bufferUid": BUFFER_UID, "path": "team/b", "owner": OWNER},
        "range": {"start": rfc3339(at(0)), "end": rfc3339(at(10))},
    }
    return body


class Scene:
    def __init__(self) -> None:
        self.buffers, self.captures = ObjectStore(ReplayBuffer), ObjectStore(ReplayCapture)
        self.reservations = Reservations(buffers=self.buffers, captures=self.captures, segment_seconds=6)
        self.left: list[int] = []
        self.captures.follow(
            Follower(
                known=lambda _: None, gone=lambda capture: self.left.append(self.reservations.of(capture))
            )
        )


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.buffers.put(buffer_body(owner=OWNER))
    return scene


def test_an_admitted_capture_holds_room_until_it_is_gone(scene: Scene) -> None:
    capture = scene.captures.put(admitted())
    (held,) = scene.reservations.pending(OWNER).values()
    assert held == scene.reservations.of(capture) > 0
    scene.captures.drop(CAPTURE_UID)
    assert scene.reservations.pending(OWNER) == {}
    assert scene.left == [held]


def test_what_was_held_is_remembered_when_the_buffer_goes_and_forgotten_with_the_capture(
    scene: Scene,
) -> None:
    capture = scene.captures.put(admitted())
    held = scene.reservations.of(capture)
    scene.buffers.drop(BUFFER_UID)
    assert scene.reservations.of(capture) == held
    scene.captures.drop(CAPTURE_UID)
    assert scene.reservations.of(capture) == 0


def test_a_deleted_capture_counts_for_an_hour(scene: Scene) -> None:
    def times(now: datetime) -> list[datetime]:
        return scene.reservations.admitted_at(OWNER, now)

    scene.captures.put(admitted())
    scene.captures.drop(CAPTURE_UID)
    assert times(at(3599)) == [NOW]
    assert times(at(3600)) == []

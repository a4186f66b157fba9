"""The ground that the tests beside this one stand on: what is published arrives."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from tests.real.people import Door, Publisher, Viewer
from tests.real.waiting import wait_until

pytestmark = pytest.mark.livekit_server


def test_pictures_and_sound_that_are_published_arrive_at_another_participant(
    door: Door, tmp_path: Path
) -> None:
    with (
        Viewer(door, "published", tmp_path) as viewer,
        Publisher(door, "published", "alice", tmp_path, first_number=1000) as alice,
    ):
        picture, sound = alice.publish("SCREEN_SHARE"), alice.publish("SCREEN_SHARE_AUDIO")
        wait_until("thirty pictures", lambda: len(viewer.numbers(picture)) >= 30, seconds=30)
        wait_until("five seconds of sound", lambda: len(viewer.positions(sound)) >= 5, seconds=30)
        numbers, positions = viewer.numbers(picture), viewer.positions(sound)
    assert numbers[0] > 1000
    assert all(earlier < later for earlier, later in pairwise(numbers))
    told = [position for position in positions if position is not None]
    # Most steps, and not to the millisecond: the receiver stretches sound, and fills in what came too late.
    assert median(b - a for a, b in pairwise(told)) == pytest.approx(1, abs=0.3)

"""What a killed capture worker leaves is known by its name, whoever writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.domain.layout import abandoned_part, clip_path
from replay_operator.media.archive import ClipPlace
from tests.builders import CAPTURE_UID, NAMESPACE, NOW

OTHER_UID = "0badf00d-0000-4000-8000-000000000009"


def place(*, name: str = "goal", uid: str = CAPTURE_UID) -> ClipPlace:
    path = clip_path(namespace=NAMESPACE, owner="alice", day=NOW, name=name, uid=uid)
    return ClipPlace(root=Path("/archive"), clip=Path("/archive") / path)


@pytest.mark.parametrize("name", ["goal", "a.b-c.mp4", "deadbeef-deadbeef", "ünïcode / and more"])
def test_the_unfinished_clip_of_a_capture_is_abandoned_when_that_capture_is_not_live(name: str) -> None:
    part = place(name=name).part(3).name

    assert abandoned_part(part, ())
    assert abandoned_part(part, {OTHER_UID})
    assert not abandoned_part(part, {CAPTURE_UID, OTHER_UID})


def test_so_are_its_unfinished_result_and_picture() -> None:
    made = place()
    for finished in (made.sidecar, made.picture):
        part = f".{finished.name}.4711.part"
        assert abandoned_part(part, {OTHER_UID})
        assert not abandoned_part(part, {CAPTURE_UID})


def test_what_is_finished_is_never_abandoned() -> None:
    made = place()
    for finished in (made.clip, made.sidecar, made.picture):
        assert not abandoned_part(finished.name, ())

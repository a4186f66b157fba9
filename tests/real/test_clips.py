"""The checks of clips, where they have been wrong themselves."""

from __future__ import annotations

import pytest

from tests.real.clips import shift


def test_a_moment_of_silence_is_not_taken_for_another() -> None:
    in_segments = [("la", 10.0), ("", 10.1), ("", 10.2), ("lu", 10.3)]
    in_clip = [("", 0.2), ("lu", 0.3), ("la", 0.0)]
    assert shift(in_clip, in_segments) == pytest.approx(10)


def test_a_part_that_has_moved_against_the_others_is_found() -> None:
    with pytest.raises(AssertionError):
        shift([("la", 0.0), ("lu", 0.4)], [("la", 10.0), ("lu", 10.3)])

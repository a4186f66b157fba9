"""A clock that jumps is told from segments that are late."""

from __future__ import annotations

import pytest

from replay_operator.agent.clock_shift import clock_shift_milliseconds
from replay_operator.agent.segments import EDGE, MediaSpan, SegmentFile
from replay_operator.media.segment_file import FileStamp

SECOND = 1_000_000_000


def run(*moved_ms: int, lengths: tuple[int, ...] = (6, 7, 6, 8)) -> list[SegmentFile]:
    """Segments of uneven length, of which each comes so many milliseconds later than usual."""
    segments, begun = [], 0
    ends = []
    for index in range(len(moved_ms) + 1):
        begun += lengths[index % len(lengths)] * SECOND
        ends.append(begun)
    for index, moved in enumerate((*moved_ms, 0)):
        following = ends[index + 1] if index + 1 < len(ends) else ends[index] + 6 * SECOND
        arrived = following + 650_000_000 + moved * 1_000_000
        span = MediaSpan(ends[index - 1] if index else 0, ends[index])
        segments.append(segment(index, arrived, span))
    return segments


def segment(index: int, arrived_at_ns: int, span: MediaSpan | None) -> SegmentFile:
    return SegmentFile(index=index, stamp=FileStamp(1, arrived_at_ns, index), probed=True, span=span)


def shift_of(complete: list[SegmentFile]) -> int:
    return clock_shift_milliseconds(complete[:EDGE], complete[-EDGE:], len(complete))


@pytest.mark.parametrize(
    ("moved", "shift"),
    [
        ((0, 5, -9, 12, 3, 0, 8, -4), 0),
        ((0, 0, 0, -1500, -1510, -1490, -1500, -1505), -1490),
        ((0, 0, 0, 900, 700, 800, 750, 720), 700),
        ((0, 0, 0, 0, 0, 0, 0, 5000), 0),
        ((0, 0, 0, 5000, 5000, 5000, 0, 0), 0),
        ((0, 0, -1500, -1500, -1500, -1500, -1500), 0),
        ((), 0),
    ],
    ids=[
        "as usual",
        "clock went on",
        "clock went back",
        "one late segment",
        "late for a while",
        "too few to tell",
        "one segment",
    ],
)
def test_the_shift_is_what_all_of_the_newest_segments_agree_on(moved: tuple[int, ...], shift: int) -> None:
    assert shift_of(run(*moved)) == pytest.approx(shift, abs=12)


def test_a_missing_segment_is_not_compared_with_the_one_after_it() -> None:
    segments = run(0, 0, 0, -1500, -1500, -1500, -1500, -1500)
    del segments[6]
    assert shift_of(segments) == 0

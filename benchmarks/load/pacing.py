"""Who records what, and when each segment is due. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replay_operator.domain.layout import RunPath
from replay_operator.domain.write_budget import WriteBudget
from tests.livekit_double.timing import Timing

SEGMENT_SECONDS = 10
BUFFER_BYTES_PER_SECOND = 750_000
"""1080p60 at 6 Mbit/s with its sound, as DESIGN reckons."""

WINDOW_SECONDS = 30
"""The shortest that a buffer may have: what lies on the disk is the rate times this."""

SAFE_SHARE = 0.7
"""Of what `replay-operator benchmark-volume` suggests: captures read and write beside the recordings."""

_LAG_SECONDS = Timing().arrival_lag_seconds
_ROUND_SECONDS = 12
"""Until the next round of the agent, and a little longer: no more is accepted."""

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """One buffer with its one run. A large one writes segments of real size, another one small ones."""

    path: RunPath
    is_large: bool
    window_seconds: int
    media_started_at_ns: int

    def media_end_ns(self, index: int) -> int:
        """Give the capture time at which a segment ends.

        Args:
            index: Its number.
        """
        return self.media_started_at_ns + (index + 1) * SEGMENT_SECONDS * _NS

    def due_ns(self, index: int) -> int:
        """Give when a segment comes to the disk: one segment, and a little, after its end.

        Args:
            index: Its number.
        """
        return self.media_end_ns(index) + SEGMENT_SECONDS * _NS + round(_LAG_SECONDS * _NS)

    def next_index(self, now_ns: int) -> int:
        """Give the number of the first segment that is due later than this.

        Args:
            now_ns: A time.
        """
        return max(0, (now_ns - self.due_ns(0)) // (SEGMENT_SECONDS * _NS) + 1)


def recordings(
    buffers: int, *, share: float, begun_at_ns: int, captured: int, captured_seconds: int
) -> list[Recorded]:
    """Lay out buffers whose segments come evenly spread over time, large and small ones mixed.

    The first ones are captured from: they have a longer window, and a history that fills it. The others have
    their first segment within one segment's length of the begin.

    Args:
        buffers: How many in all.
        share: How many of them are large.
        begun_at_ns: When the first segments come.
        captured: How many are captured from. They are large.
        captured_seconds: Their window.
    """
    step_ns = SEGMENT_SECONDS * _NS // buffers
    first_ns = begun_at_ns - 2 * SEGMENT_SECONDS * _NS - round(_LAG_SECONDS * _NS)
    found = []
    for number in range(buffers):
        is_captured = number < captured
        # Captured ones are few: spread over the whole length among themselves.
        offset_ns = number * (SEGMENT_SECONDS * _NS // captured if is_captured else step_ns)
        history_ns = captured_seconds * _NS if is_captured else 0
        found.append(
            Recorded(
                path=RunPath("load", f"buffer-{number:05d}", "run-1"),
                is_large=is_captured or int((number + 1) * share) > int(number * share),
                window_seconds=captured_seconds if is_captured else WINDOW_SECONDS,
                media_started_at_ns=first_ns + offset_ns - history_ns,
            )
        )
    return found


def bytes_per_second(buffers: Sequence[Recorded], *, large_bytes: int, small_bytes: int) -> float:
    """Give what buffers write together.

    Args:
        buffers: Which.
        large_bytes: Size of a large segment.
        small_bytes: Size of a small one.
    """
    return sum(large_bytes if buffer.is_large else small_bytes for buffer in buffers) / SEGMENT_SECONDS


def bytes_on_disk(buffers: Sequence[Recorded], *, large_bytes: int, small_bytes: int) -> float:
    """Give the most that buffers lay on the disk while the agent keeps its times.

    Args:
        buffers: Which.
        large_bytes: Size of a large segment.
        small_bytes: Size of a small one.
    """
    return sum(
        (large_bytes if buffer.is_large else small_bytes)
        * _lifetime_seconds(buffer.window_seconds)
        / SEGMENT_SECONDS
        for buffer in buffers
    )


def chosen_share(budget: WriteBudget, *, buffers: int, large_bytes: int, room_bytes: float) -> float:
    """Choose which share of the whole rate this disk is given.

    Args:
        budget: What was measured.
        buffers: How many record.
        large_bytes: Size of a large segment.
        room_bytes: What may lie on the disk.

    Returns:
        At most 1, for all of them at the full rate.
    """
    wanted = buffers * large_bytes / SEGMENT_SECONDS
    by_rate = SAFE_SHARE * budget.suggested_mbps * 1_000_000 / wanted
    by_room = room_bytes / (wanted * _lifetime_seconds(WINDOW_SECONDS))
    return min(1.0, by_rate, by_room)


def _lifetime_seconds(window_seconds: int) -> float:
    """A segment comes late, and goes when its end has left the window."""
    return window_seconds + _ROUND_SECONDS - SEGMENT_SECONDS - _LAG_SECONDS

"""What one recording costs its worker: as it was measured, and as it was published elsewhere.

docs/capacity.md sets the two side by side and says where they contradict each other, or themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.domain.capacity import bytes_per_second

MEGABYTE = 1_000_000


class Assumption(StrEnum):
    """Whose figures to reckon with."""

    MEASURED = "measured"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure that is known from its least to its most."""

    least: float
    most: float

    def times(self, least: float, most: float | None = None) -> Range:
        """Multiply both ends, or each with its own factor."""
        return Range(self.least * least, self.most * (least if most is None else most))


@dataclass(frozen=True, slots=True)
class RecordingCost:
    """What one recording takes.

    `extrapolated_from` is set when nobody has measured this preset. `starved` says that a measurement behind
    it ran short of CPU, so that the true need may be higher.
    """

    cores: Range
    memory_bytes: Range
    bytes_per_second: float
    extrapolated_from: EncodingPreset | None = None
    starved: bool = False


_MEASURED_CORES = {
    EncodingPreset.H264_720P_30: Range(0.25, 0.85),
    EncodingPreset.H264_1080P_30: Range(1.0, 1.3),
}
"""livekit-measured §1."""

_STARVED = EncodingPreset.H264_1080P_30

_MEASURED_MEMORY_BYTES = {
    EncodingPreset.H264_720P_30: Range(300 * MEGABYTE, 430 * MEGABYTE),
    EncodingPreset.H264_1080P_30: Range(850 * MEGABYTE, 1200 * MEGABYTE),
}

_NEAREST_MEASURED = {
    EncodingPreset.H264_720P_60: EncodingPreset.H264_720P_30,
    EncodingPreset.H264_1080P_60: EncodingPreset.H264_1080P_30,
}

PIXELS_PER_SECOND = {
    EncodingPreset.H264_720P_30: 1280 * 720 * 30,
    EncodingPreset.H264_720P_60: 1280 * 720 * 60,
    EncodingPreset.H264_1080P_30: 1920 * 1080 * 30,
    EncodingPreset.H264_1080P_60: 1920 * 1080 * 60,
}

PUBLISHED_CORES = Range(0.5, 1.0)
PUBLISHED_MEMORY_BYTES = Range(500 * MEGABYTE, 1000 * MEGABYTE)
_PUBLISHED_BYTES_PER_SECOND = {
    EncodingPreset.H264_1080P_60: 0.75 * MEGABYTE,
    EncodingPreset.H264_1080P_30: 0.5 * MEGABYTE,
    EncodingPreset.H264_720P_30: 0.375 * MEGABYTE,
    # Not published: LiveKit's bit rate of the picture (livekit.md §2.1), as the others but 1080p30 are.
    EncodingPreset.H264_720P_60: 0.5625 * MEGABYTE,
}

ROOM_COMPOSITE_CORES = Range(2.0, 6.0)
"""Published, for one recording of any preset: "about five times" as much. Nobody has measured it here;
LiveKit's own admission counts 4 cores for it and 1 for Track Composite (livekit.md §2.8)."""


def recording_cost(preset: EncodingPreset, assumption: Assumption) -> RecordingCost:
    """Give what one recording of a preset costs. Portrait costs what landscape does.

    Args:
        preset: The encoding.
        assumption: Whose figures.
    """
    landscape = EncodingPreset(preset.removeprefix("PORTRAIT_"))
    if assumption is Assumption.PUBLISHED:
        rate = _PUBLISHED_BYTES_PER_SECOND[landscape]
        return RecordingCost(PUBLISHED_CORES, PUBLISHED_MEMORY_BYTES, rate)
    return _measured(landscape, bytes_per_second(Encoding(preset=landscape)))


def _measured(preset: EncodingPreset, rate: int) -> RecordingCost:
    if preset in _MEASURED_CORES:
        cores, memory_bytes = _MEASURED_CORES[preset], _MEASURED_MEMORY_BYTES[preset]
        return RecordingCost(cores, memory_bytes, rate, starved=preset is _STARVED)
    nearest = _NEAREST_MEASURED[preset]
    factor = PIXELS_PER_SECOND[preset] / PIXELS_PER_SECOND[nearest]
    return RecordingCost(
        cores=_MEASURED_CORES[nearest].times(factor),
        # Whether more frames of the same size need more memory is not known: both ends are kept.
        memory_bytes=_MEASURED_MEMORY_BYTES[nearest].times(1, factor),
        bytes_per_second=rate,
        extrapolated_from=nearest,
        starved=nearest is _STARVED,
    )

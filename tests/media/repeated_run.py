"""A long run out of a short one: encoded once, then copied with later timestamps.

The copies follow each other without a seam: 48 kHz sound has a whole number of AAC frames in 8 s.
"""

from __future__ import annotations

from pathlib import Path

from replay_operator.domain.layout import segment_name
from replay_operator.media.timeline import TICKS_PER_SECOND
from tests.media.segment_maker import RunShape, make_run, write_playlists, write_run_file

PERIOD_SECONDS = 8
SHAPE = RunShape(seconds=3 * PERIOD_SECONDS, frames_per_second=10, sample_rate_hz=48000)
PERIOD_SEGMENTS = PERIOD_SECONDS // SHAPE.segment_seconds


def make_long_run(directory: Path, scratch: Path, segments: int) -> Path:
    """Make a run of that many segments of 2 s; its numbers and tones repeat every 8 s.

    The middle third of an encoded run is taken: there encoders have settled.
    """
    source = make_run(scratch / "encoded", SHAPE)
    middle = [
        (source / segment_name(PERIOD_SEGMENTS + place)).read_bytes() for place in range(PERIOD_SEGMENTS)
    ]
    directory.mkdir(parents=True)
    for index in range(segments):
        period, place = divmod(index, PERIOD_SEGMENTS)
        (directory / segment_name(index)).write_bytes(
            later(middle[place], (period - 1) * PERIOD_SECONDS * TICKS_PER_SECOND)
        )
    write_playlists(directory, SHAPE, segments)
    write_run_file(directory, SHAPE)
    return directory


def move_segment(path: Path, seconds: float) -> None:
    """Move all timestamps of a segment."""
    path.write_bytes(later(path.read_bytes(), round(seconds * TICKS_PER_SECOND)))


def later(segment: bytes, ticks: int) -> bytes:
    """Give the same segment with later timestamps. Read here anew: what is tested must not help."""
    output = bytearray(segment)
    for row in range(0, len(segment), 188):
        begin = row + 4 + (1 + segment[row + 4] if segment[row + 3] & 0x20 else 0)
        if segment[row + 1] & 0x40 and segment[begin : begin + 3] == b"\x00\x00\x01":
            for number in range((segment[begin + 7] >> 6).bit_count()):
                at = slice(begin + 9 + 5 * number, begin + 14 + 5 * number)
                output[at] = _later(segment[at], ticks)
    return bytes(output)


def _later(timestamp: bytes, ticks: int) -> bytes:
    """33 bits in pieces of 3, 15 and 15, each with a marker behind it (ISO/IEC 13818-1, 2.4.3.6)."""
    raw = int.from_bytes(timestamp)
    value = (raw >> 33 & 7) << 30 | (raw >> 17 & 0x7FFF) << 15 | raw >> 1 & 0x7FFF
    moved = (value + ticks) % (1 << 33)
    markers = raw & ~(7 << 33 | 0x7FFF << 17 | 0x7FFF << 1)
    pieces = moved >> 30 << 33 | (moved >> 15 & 0x7FFF) << 17 | (moved & 0x7FFF) << 1
    return (markers | pieces).to_bytes(5)


def numbers_of(first_frame: int, frames: int) -> list[int]:
    """The numbers that consecutive pictures of the long run have."""
    period = PERIOD_SECONDS * SHAPE.frames_per_second
    return [period + (first_frame + n) % period for n in range(frames)]

"""A long run out of a short one: encoded once, then copied with later timestamps.

The copies follow each other without a seam: 48 kHz sound has a whole number of AAC frames in 8 s.
"""

from __future__ import annotations

from pathlib import Path

from replay_operator.domain.layout import segment_name
from replay_operator.media.timeline import MEDIA_EPOCH_TICKS, TICKS_PER_SECOND
from replay_operator.media.ts_grid import TsGrid
from replay_operator.media.ts_pes import pes_heads, write_timestamp
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
    """Give the same segment with later timestamps."""
    grid = TsGrid(segment)
    output = bytearray(segment)
    for rows in grid.starts().values():
        heads = pes_heads(grid, rows, MEDIA_EPOCH_TICKS)
        for position, (pts, dts) in enumerate(zip(heads.pts, heads.dts, strict=True)):
            write_timestamp(output, heads.pts_at(position), pts + ticks)
            if heads.has_dts[position]:
                write_timestamp(output, heads.dts_at(position), dts + ticks)
    return bytes(output)


def numbers_of(first_frame: int, frames: int) -> list[int]:
    """The numbers that consecutive pictures of the long run have."""
    period = PERIOD_SECONDS * SHAPE.frames_per_second
    return [period + (first_frame + n) % period for n in range(frames)]

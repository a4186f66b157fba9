"""One recording cut into segments, made once and linked into every run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from replay_operator.domain.layout import segment_name

MEDIA_EPOCH_SECONDS = 3600
"""PTS of a run's first frame, as the real worker writes it (livekit-measured §2)."""

_FRAMES_PER_SECOND = 15


class SegmentsError(Exception):
    """The segments could not be made; the message says why."""


def ffmpeg_command(directory: Path, *, count: int, segment_seconds: int) -> list[str]:
    """Build the command that makes the segments: a small picture and sound, one key frame a segment.

    Args:
        directory: Receives `seg_00000.ts` and so on.
        count: How many segments.
        segment_seconds: Length of each.
    """
    every = str(_FRAMES_PER_SECOND * segment_seconds)
    return [
        "ffmpeg",
        *("-nostdin", "-hide_banner", "-loglevel", "error"),
        *("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={_FRAMES_PER_SECOND}"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"),
        *("-t", str(count * segment_seconds), "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "100k", "-bf", "0"),
        *("-g", every, "-keyint_min", every, "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "32k"),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(MEDIA_EPOCH_SECONDS)),
        *("-f", "segment", "-segment_time", str(segment_seconds), "-segment_format", "mpegts"),
        *("-segment_format_options", "mpegts_copyts=1"),
        str(directory / "seg_%05d.ts"),
    ]


def make_segments(directory: Path, *, count: int, segment_seconds: int) -> list[Path]:
    """Make the segments, or take those that are there.

    Args:
        directory: Where they go.
        count: How many.
        segment_seconds: Length of each.

    Raises:
        SegmentsError: ffmpeg failed.
    """
    wanted = [directory / segment_name(index) for index in range(count)]
    if not all(path.exists() for path in wanted):
        directory.mkdir(parents=True, exist_ok=True)
        command = ffmpeg_command(directory, count=count, segment_seconds=segment_seconds)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SegmentsError(f"ffmpeg made no segments (exit code {done.returncode}): {done.stderr}")
    missing = [path.name for path in wanted if not path.exists()]
    if missing:
        raise SegmentsError(f"ffmpeg ended well and did not make {missing[0]}: look at {directory}")
    return wanted

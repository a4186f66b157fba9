"""Ten seconds of 1080p60 with sound, encoded once."""

from __future__ import annotations

import subprocess
from pathlib import Path

MEDIA_EPOCH_SECONDS = 3600
"""PTS of a run's first frame, as the real worker writes it (docs/sources.md)."""

VIDEO_KBPS = 6000
FRAMES_PER_SECOND = 60
SAMPLES_PER_SECOND = 48_000
_AAC_FRAME_SAMPLES = 1024


class MediaError(Exception):
    """The segment could not be made; the message holds ffmpeg's words."""


def ffmpeg_command(output: Path, *, seconds: int, size: str = "1920x1080") -> list[str]:
    """Build the command that makes one segment, with one key frame and one AAC frame in each PES packet.

    The rate is held by filler, so that the size does not depend on the picture.

    Args:
        output: The segment.
        seconds: Its length.
        size: Of the picture, such as 1920x1080.
    """
    rate, every = f"{VIDEO_KBPS}k", str(FRAMES_PER_SECOND * seconds)
    # Not one more than fit: the sound of the next copy begins right behind.
    sounds = str(SAMPLES_PER_SECOND * seconds // _AAC_FRAME_SAMPLES)
    return [
        "ffmpeg",
        *("-nostdin", "-hide_banner", "-loglevel", "error"),
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={FRAMES_PER_SECOND}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={SAMPLES_PER_SECOND}"),
        *("-t", str(seconds), "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "nal-hrd=cbr"),
        *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate),
        *("-g", every, "-keyint_min", every, "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-frames:a", sounds),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(MEDIA_EPOCH_SECONDS)),
        *("-f", "mpegts", "-pes_payload_size", "0", "-y", str(output)),
    ]


def make_segment(output: Path, *, seconds: int) -> Path:
    """Make the segment.

    Args:
        output: Where it goes.
        seconds: Its length.

    Raises:
        MediaError: ffmpeg failed.
    """
    done = subprocess.run(
        ffmpeg_command(output, seconds=seconds), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise MediaError(f"ffmpeg made no segment (exit code {done.returncode}): {done.stderr}")
    return output

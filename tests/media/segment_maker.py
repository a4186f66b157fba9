"""Makes runs of MPEG-TS segments as the real egress worker writes them, with content that can be read back.

The top sixteenth of each picture holds its frame number as 32 blocks, most significant bit first. The sound
beeps for the first tenth of each second. So a decoded clip tells which instant it shows and plays.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from replay_operator.api.agent import RunFile

COUNTER_BLOCKS = 32
STARTED_AT = datetime(2026, 11, 22, 14, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class RunShape:
    """What a run looks like. `first_index` makes it an old run, of which only the end is left."""

    seconds: int = 12
    segment_seconds: int = 2
    frames_per_second: int = 30
    width: int = 320
    height: int = 180
    b_frames: int = 2
    sample_rate_hz: int = 44100
    one_aac_frame_per_pes: bool = True
    video_delay_seconds: int = 0
    first_index: int = 0


def at(seconds: float) -> datetime:
    """Capture time of an instant of the run."""
    return STARTED_AT + timedelta(seconds=seconds)


def make_run(directory: Path, shape: RunShape) -> Path:
    """Encode a run with its playlists and `run.json`."""
    directory.mkdir(parents=True)
    frames = shape.seconds * shape.frames_per_second
    keyint = shape.segment_seconds * shape.frames_per_second
    picture = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{shape.width}x{shape.height}"]
    picture += ["-r", str(shape.frames_per_second), "-i", "pipe:0"]
    sound_seconds = shape.seconds + shape.video_delay_seconds
    beep = f"aevalsrc=sin(2*PI*880*t)*lt(mod(t\\,1)\\,0.1):s={shape.sample_rate_hz}:d={sound_seconds}"
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf", str(shape.b_frames)]
    x264 += ["-x264-params", f"keyint={keyint}:min-keyint={keyint}:scenecut=0", "-pix_fmt", "yuv420p"]
    x264 += ["-vf", f"setpts=PTS+{shape.video_delay_seconds}/TB", "-fps_mode", "passthrough"]
    aac = ["-c:a", "aac", "-b:a", "128k", "-ac", "2"]
    segments = ["-f", "segment", "-segment_time", str(shape.segment_seconds), "-segment_format", "mpegts"]
    if shape.one_aac_frame_per_pes:
        segments += ["-segment_format_options", "pes_payload_size=0"]
    segments += ["-segment_start_number", str(shape.first_index)]
    offset_seconds = 3600 + shape.first_index * shape.segment_seconds
    segments += ["-output_ts_offset", str(offset_seconds), "-muxdelay", "0", "-muxpreload", "0"]
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", *picture, "-f", "lavfi", "-i", beep]
    command += ["-map", "0:v", "-map", "1:a", *x264, *aac, *segments, str(directory / "seg_%05d.ts")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for number in range(frames):
            encoder.stdin.write(draw_frame(number, shape).tobytes())
        encoder.stdin.close()
    assert encoder.returncode == 0
    write_playlists(directory, shape, len(list(directory.glob("seg_*.ts"))))
    write_run_file(directory, shape)
    return directory


def draw_frame(number: int, shape: RunShape) -> npt.NDArray[np.uint8]:
    """Draw a moving picture with its number on top."""
    rows, columns = np.mgrid[0 : shape.height, 0 : shape.width]
    picture: npt.NDArray[np.uint8] = ((rows + columns + 3 * number) % 160 + 40).astype(np.uint8)
    block = shape.width // COUNTER_BLOCKS
    for bit in range(COUNTER_BLOCKS):
        white = number >> (COUNTER_BLOCKS - 1 - bit) & 1
        picture[: shape.height // 16, bit * block : (bit + 1) * block] = 235 if white else 16
    return picture


def read_frame_number(picture: npt.NDArray[Any]) -> int:
    """Read the number from a decoded grey picture."""
    height, width = picture.shape
    block = width // COUNTER_BLOCKS
    number = 0
    for bit in range(COUNTER_BLOCKS):
        middle = picture[2 : height // 16 - 2, bit * block + 2 : (bit + 1) * block - 2]
        number = number << 1 | int(middle.mean() > 126)
    return number


def write_playlists(directory: Path, shape: RunShape, segments: int) -> None:
    """Write the event playlist with the first segments, and the live one with the last five of them."""
    for name, first in (("index.m3u8", 0), ("live.m3u8", max(segments - 5, 0))):
        lines = ["#EXTM3U", "#EXT-X-VERSION:4", f"#EXT-X-TARGETDURATION:{shape.segment_seconds}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for index in range(shape.first_index + first, shape.first_index + segments):
            moment = at(index * shape.segment_seconds + 0.8)
            lines.append(
                f"#EXT-X-PROGRAM-DATE-TIME:{moment:%Y-%m-%dT%H:%M:%S.}{moment.microsecond // 1000:03d}Z"
            )
            lines += [f"#EXTINF:{shape.segment_seconds}.000,", f"seg_{index:05d}.ts"]
        (directory / name).write_text("\n".join(lines) + "\n")


def write_run_file(directory: Path, shape: RunShape) -> None:
    """Write the run's `run.json`, with its clock."""
    run_file = RunFile(
        room="standup",
        buffer="alice-screen",
        segment_seconds=shape.segment_seconds,
        media_started_at_ns=int(STARTED_AT.timestamp()) * 1_000_000_000,
        video_track="TR_VCtest",
        audio_track="TR_AMtest",
    )
    (directory / "run.json").write_text(run_file.model_dump_json(by_alias=True))

"""Makes runs of MPEG-TS segments as the real egress worker writes them, with content that can be read back.

The top sixteenth of each picture holds its frame number as 32 blocks, most significant bit first. The sound
is a soft tone that rises by 20 Hz with each second and beeps for the first tenth of it. Both follow the wall
clock, whichever run they are in. So a decoded clip tells which instant it shows and plays, and a dropout is
heard.
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
from replay_operator.api.replaycapture import Track

COUNTER_BLOCKS = 32
LOWEST_TONE_HZ = 440
TONE_STEP_HZ = 20
TONES = 100
"""So many seconds have a tone of their own; then it begins again with the lowest."""
STARTED_AT = datetime(2026, 11, 22, 14, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class RunShape:
    """What a run looks like.

    `first_index` makes it an old run, of which only the end is left. `starts_at_seconds` is where on the
    wall clock it begins, a whole number of frames. The picture pauses for `pause_seconds` at
    `pauses_at_seconds` of the run. The sound goes on for `sound_overhang_seconds` after the last picture, in
    the same segment, as when a camera is unpublished (livekit-measured §3).
    """

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
    starts_at_seconds: float = 0
    tracks: frozenset[Track] = frozenset(Track)
    sound_delay_seconds: int = 0
    pauses_at_seconds: int = 0
    pause_seconds: int = 0
    first_pid: int = 0x100
    channels: int = 2
    sound_overhang_seconds: int = 0
    profile: str = "main"

    @property
    def frames(self) -> int:
        """How many pictures it has."""
        return (self.seconds - self.pause_seconds) * self.frames_per_second

    def number(self, frame: int) -> int:
        """Give the number that is drawn on a picture: its place on the wall clock."""
        paused = self.pause_seconds and frame >= self.pauses_at_seconds * self.frames_per_second
        skipped = self.pause_seconds if paused else 0
        return frame + round((self.starts_at_seconds + skipped) * self.frames_per_second)


def at(seconds: float) -> datetime:
    """Capture time of an instant of the run."""
    return STARTED_AT + timedelta(seconds=seconds)


def make_run(directory: Path, shape: RunShape) -> Path:
    """Encode a run with its playlists and `run.json`."""
    directory.mkdir(parents=True)
    inputs, outputs = _inputs(shape), list[str]()
    if Track.VIDEO in shape.tracks:
        outputs += ["-map", "0:v", *_x264(shape)]
    if Track.AUDIO in shape.tracks:
        outputs += ["-map", f"{len(inputs) - 1}:a", "-c:a", "aac", "-b:a", "128k", "-ac", str(shape.channels)]
    command = [
        "ffmpeg",
        "-hide_banner",
        "-loglevel",
        "error",
        *(word for words in inputs for word in words),
        *outputs,
    ]
    command += [*_segments(shape), str(directory / "seg_%05d.ts")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for frame in range(shape.frames if Track.VIDEO in shape.tracks else 0):
            encoder.stdin.write(draw_frame(shape.number(frame), shape).tobytes())
        encoder.stdin.close()
    assert encoder.returncode == 0
    write_playlists(directory, shape, len(list(directory.glob("seg_*.ts"))))
    write_run_file(directory, shape)
    return directory


def _inputs(shape: RunShape) -> list[list[str]]:
    picture = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{shape.width}x{shape.height}"]
    picture += ["-r", str(shape.frames_per_second), "-i", "pipe:0"]
    sound = ["-itsoffset", str(shape.sound_delay_seconds), "-f", "lavfi", "-i", _sound(shape)]
    return [picture, sound] if Track.VIDEO in shape.tracks else [["-nostdin", *sound]]


def _x264(shape: RunShape) -> list[str]:
    keyint = shape.segment_seconds * shape.frames_per_second
    pause = f"gte(N\\,{shape.pauses_at_seconds * shape.frames_per_second})*{shape.pause_seconds}"
    return [
        *["-c:v", "libx264", "-preset", "veryfast", "-profile:v", shape.profile, "-bf", str(shape.b_frames)],
        *["-x264-params", f"keyint={keyint}:min-keyint={keyint}:scenecut=0", "-pix_fmt", "yuv420p"],
        *["-vf", f"setpts=PTS+({shape.video_delay_seconds}+{pause})/TB", "-fps_mode", "passthrough"],
    ]


def _sound(shape: RunShape) -> str:
    seconds = shape.seconds + shape.video_delay_seconds - shape.sound_delay_seconds
    seconds += shape.sound_overhang_seconds
    wall = f"(t+{shape.starts_at_seconds + shape.sound_delay_seconds})"
    # Whole hertz that change at whole seconds: the wave has no step.
    hertz = f"({LOWEST_TONE_HZ}+{TONE_STEP_HZ}*mod(floor({wall})\\,{TONES}))"
    tone = f"sin(2*PI*{hertz}*{wall})*(0.1+0.9*lt(mod({wall}\\,1)\\,0.1))"
    return f"aevalsrc={tone}:s={shape.sample_rate_hz}:d={seconds}"


def _segments(shape: RunShape) -> list[str]:
    options = f"mpegts_start_pid={shape.first_pid}"
    if shape.one_aac_frame_per_pes:
        options += ":pes_payload_size=0"
    offset_seconds = 3600 + shape.first_index * shape.segment_seconds
    return [
        *["-f", "segment", "-segment_time", str(shape.segment_seconds), "-segment_format", "mpegts"],
        *["-segment_format_options", options, "-segment_start_number", str(shape.first_index)],
        *["-output_ts_offset", str(offset_seconds), "-muxdelay", "0", "-muxpreload", "0"],
    ]


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
            moment = at(shape.starts_at_seconds + index * shape.segment_seconds + 0.8)
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
        media_started_at_ns=int(STARTED_AT.timestamp()) * 1_000_000_000
        + round(shape.starts_at_seconds * 1_000_000_000),
        video_track="TR_VCtest" if Track.VIDEO in shape.tracks else None,
        audio_track="TR_AMtest" if Track.AUDIO in shape.tracks else None,
    )
    (directory / "run.json").write_text(run_file.model_dump_json(by_alias=True))

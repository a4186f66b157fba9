"""A recording that is over, laid on the buffer volume at once: one segment, repeated by shifted copies."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from replay_operator.media.timeline import TICKS_PER_SECOND
from replay_operator.media.ts_grid import TS_PACKET_BYTES, TsGrid, program_tracks
from replay_operator.media.ts_pes import pes_heads, write_timestamp
from tests.stack.stack import Stack

BUFFER_CLAIM = "replay-buffers"
ARRIVAL_LAG_SECONDS = 0.65
"""A segment is on disk segmentSeconds + 0.65 s after its media ends (docs/sources.md)."""

LISTED_LIVE = 5
MEDIA_EPOCH_SECONDS = 3600
"""PTS of a run's first frame, as the real worker writes it (docs/sources.md)."""

SAMPLES_PER_SECOND = 48_000
_AAC_FRAME_SAMPLES = 1024
_PCR_WRAP = 1 << 33


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a segment is encoded. Filler holds the rate, so that the size does not depend on the picture."""

    seconds: int = 2
    size: str = "320x180"
    frames_per_second: int = 15
    video_kbps: int = 200


def encode_segment(output: Path, encoding: Encoding) -> ShiftableSegment:
    """Encode the first segment of a run: one key frame, and one AAC frame in each PES packet.

    Args:
        output: Where it goes.
        encoding: How.

    Raises:
        CalledProcessError: ffmpeg failed; its words are on standard error.
    """
    rate, every = f"{encoding.video_kbps}k", str(encoding.frames_per_second * encoding.seconds)
    # Not one more than fit: the sound of the next copy begins right behind.
    sounds = str(SAMPLES_PER_SECOND * encoding.seconds // _AAC_FRAME_SAMPLES)
    command = [
        "ffmpeg",
        *("-nostdin", "-hide_banner", "-loglevel", "error"),
        *("-f", "lavfi", "-i", f"testsrc2=size={encoding.size}:rate={encoding.frames_per_second}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={SAMPLES_PER_SECOND}"),
        *("-t", str(encoding.seconds), "-pix_fmt", "yuv420p"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-x264-params", "nal-hrd=cbr"),
        *("-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate),
        *("-g", every, "-keyint_min", every, "-sc_threshold", "0"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-frames:a", sounds),
        *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(MEDIA_EPOCH_SECONDS)),
        *("-f", "mpegts", "-pes_payload_size", "0", "-y", str(output)),
    ]
    subprocess.run(command, check=True)
    return ShiftableSegment(output.read_bytes())


class ShiftableSegment:
    """An MPEG-TS segment of which copies for later times can be had.

    Args:
        data: The first segment of a run: its media begins at PTS 3600 s.
    """

    def __init__(self, data: bytes) -> None:
        grid = TsGrid(data)
        starts = grid.starts()
        near = MEDIA_EPOCH_SECONDS * TICKS_PER_SECOND
        self._data = data
        self._stamps: list[tuple[int, int]] = []
        for pid in program_tracks(grid, starts):
            for head in pes_heads(grid, starts[pid], near):
                self._stamps.append((head.pts_at, head.pts))
                if head.dts_at is not None:
                    self._stamps.append((head.dts_at, head.dts))
        self._clocks = list(_clock_references(data))

    def later(self, seconds: int) -> bytes:
        """Give the same media at a later time.

        Args:
            seconds: By how much.
        """
        ticks = seconds * TICKS_PER_SECOND
        copy = bytearray(self._data)
        for place, stamp in self._stamps:
            write_timestamp(copy, place, stamp + ticks)
        for place in self._clocks:
            field = int.from_bytes(copy[place : place + 6])
            base = ((field >> 15) + ticks) % _PCR_WRAP
            copy[place : place + 6] = (base << 15 | field & 0x7FFF).to_bytes(6)
        return bytes(copy)


def _clock_references(data: bytes) -> Iterator[int]:
    """Give where each PCR is written (ISO/IEC 13818-1, adaptation field)."""
    for begin in range(0, len(data), TS_PACKET_BYTES):
        if data[begin + 3] & 0x20 and data[begin + 4] and data[begin + 5] & 0x10:
            yield begin + 6


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over. `began_at` is the capture time of its first frame."""

    path: RunPath
    began_at: datetime
    segment_seconds: int
    segments: int

    @property
    def ended_at(self) -> datetime:
        """Capture time of its end."""
        return self.began_at + timedelta(seconds=self.segments * self.segment_seconds)


def lay_run(stack: Stack, buffer: dict[str, Any], run: FinishedRun, segment: ShiftableSegment) -> None:
    """Lay a run into the directory of a buffer, and wait until the agent has indexed all of it.

    The agent makes the directory, as it does for the operator. Files get the times at which a worker would
    have written them.

    Args:
        stack: Where.
        buffer: The ReplayBuffer, for its room.
        run: Which part of the past.
        segment: What is in each segment of the run.
    """
    run_file = RunFile(
        room=buffer["spec"]["room"],
        buffer=buffer["metadata"]["name"],
        segment_seconds=run.segment_seconds,
        media_started_at_ns=int(run.began_at.timestamp()) * 10**9 + run.began_at.microsecond * 1000,
        video_track="TR_VCfinished",
        audio_track="TR_AMfinished",
    )
    _put_run(stack, run.path, run_file)
    directory = stack.node.volume_path(stack.namespace, BUFFER_CLAIM) / run.path.relative
    for index in range(run.segments):
        file = directory / segment_name(index)
        file.write_bytes(segment.later(index * run.segment_seconds))
        media_end = run.began_at + timedelta(seconds=(index + 1) * run.segment_seconds)
        _as_of(file, media_end + timedelta(seconds=run.segment_seconds + ARRIVAL_LAG_SECONDS))
    for name, first in ((INDEX_PLAYLIST, 0), (LIVE_PLAYLIST, max(run.segments - LISTED_LIVE, 0))):
        (directory / name).write_text(_playlist(run, first))
    stack.wait_for(f"coverage of {run.segments} segments", lambda: _is_covered(stack, run), seconds=120)


def _put_run(stack: Stack, path: RunPath, run_file: RunFile) -> None:
    secret = stack.get("secret", "replay-operator-agent") or {}
    token = base64.b64decode(secret["data"]["token"]).decode()
    request = urllib.request.Request(
        f"http://{stack.address('replay-agent')}:8480/v1/runs/{path.relative}",
        method="PUT",
        data=json.dumps(run_file.to_wire()).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def _playlist(run: FinishedRun, first: int) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:4", f"#EXT-X-TARGETDURATION:{run.segment_seconds}"]
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
    for index in range(first, run.segments):
        moment = (run.began_at + timedelta(seconds=index * run.segment_seconds)).astimezone(UTC)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:{stamp}", f"#EXTINF:{run.segment_seconds}.000,"]
        lines.append(segment_name(index))
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _as_of(file: Path, moment: datetime) -> None:
    # A worker that still runs cannot have written it in the future.
    stamp = min(moment, datetime.now(UTC)).timestamp()
    os.utime(file, (stamp, stamp))


def _is_covered(stack: Stack, run: FinishedRun) -> bool:
    found = (r for b in stack.coverage().buffers if b.path == run.path.buffer for r in b.runs)
    return any(r.run == run.path.run and r.segments == run.segments and r.ended for r in found)

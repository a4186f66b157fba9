"""Decodes a clip as a player would, edit lists honoured, and tells what it shows and plays."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from tests.media.segment_maker import read_frame_number


@dataclass(frozen=True)
class Shown:
    """A decoded picture: when it is shown, in seconds of the clip, and its frame number."""

    seconds: float
    number: int


def shown_frames(clip: Path) -> list[Shown]:
    """Decode all pictures."""
    with av.open(str(clip)) as container:
        return [
            Shown(float(frame.time), read_frame_number(frame.to_ndarray(format="gray")))
            for frame in container.decode(video=0)
        ]


def beeps(clip: Path) -> list[float]:
    """Find when the beeps begin, in seconds of the clip."""
    onsets: list[float] = []
    quiet_since = -1.0
    with av.open(str(clip)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()[0]) > 0.2
            times = float(frame.time or 0) + np.flatnonzero(loud) / frame.sample_rate
            for time in times.tolist():
                if time - quiet_since > 0.3:
                    onsets.append(time)
                quiet_since = time
    return onsets


def dropouts(clip: Path) -> list[float]:
    """Find where the tone is not heard for 20 ms, in seconds of the clip. Its two ends do not count."""
    found: list[float] = []
    heard = 0.0
    with av.open(str(clip)) as container:
        for frame in container.decode(audio=0):
            loud = np.abs(frame.to_ndarray()[0]) > 0.03
            for time in (float(frame.time or 0) + np.flatnonzero(loud) / frame.sample_rate).tolist():
                if time - heard > 0.02 and heard > 0.05:
                    found.append(heard)
                heard = time
    return found


@dataclass(frozen=True)
class Packets:
    """Packet times of one stream as stored, hidden ones included, in seconds."""

    pts: list[float]
    dts: list[float]

    def steps(self) -> list[float]:
        """Distances between packets in order of presentation."""
        ordered = sorted(self.pts)
        return [b - a for a, b in pairwise(ordered)]


def packets(clip: Path, kind: str) -> Packets:
    """Read all packets of `video` or `audio` without looking at the edit list."""
    command = ["ffprobe", "-v", "error", "-ignore_editlist", "1", "-select_streams", kind[0]]
    command += ["-show_entries", "packet=pts_time,dts_time", "-of", "json", str(clip)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["packets"]
    return Packets([float(p["pts_time"]) for p in found], [float(p["dts_time"]) for p in found])


def decode_errors(clip: Path) -> str:
    """Decode everything with ffmpeg and give what it complains about."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(clip), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stderr


def box_order(clip: Path) -> list[str]:
    """Give the top-level boxes of an MP4."""
    data = clip.read_bytes()
    order: list[str] = []
    position = 0
    while position < len(data):
        order.append(data[position + 4 : position + 8].decode())
        position += int.from_bytes(data[position : position + 4])
    return order

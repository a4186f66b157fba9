"""Decodes a clip as a player would, edit lists honoured, and tells what it shows and plays."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from tests.media.segment_maker import LOWEST_TONE_HZ, TONE_STEP_HZ, TONES, read_frame_number

Samples = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Heard:
    """A beep: when it begins, in seconds of the clip, and which second of the wall clock its tone tells.

    `second` counts modulo `TONES`; it is -1 where the beep is cut short.
    """

    seconds: float
    second: int


def beeps(clip: Path) -> list[Heard]:
    """Find the beeps."""
    times, samples, rate_hz = _sound(clip)
    loud = times[np.abs(samples) > 0.2]
    onsets = loud[np.diff(loud, prepend=-1.0) > 0.3]
    return [Heard(float(t), _second(times, samples, rate_hz, t)) for t in onsets]


def _second(times: Samples, samples: Samples, rate_hz: int, onset: float) -> int:
    inside = samples[np.searchsorted(times, onset + 0.01) : np.searchsorted(times, onset + 0.09)]
    if len(inside) < 0.078 * rate_hz or np.sqrt(np.mean(inside**2)) < 0.35:
        return -1
    loudness = np.abs(np.fft.rfft(inside * np.hanning(len(inside)), 1 << 16))
    hertz = float(np.argmax(loudness)) * rate_hz / (1 << 16)
    return round((hertz - LOWEST_TONE_HZ) / TONE_STEP_HZ) % TONES


def _sound(clip: Path) -> tuple[Samples, Samples, int]:
    """Decode the left channel: the time of each sample, its value, and the sample rate."""
    times, samples, rate_hz = [np.empty(0)], [np.empty(0)], 1
    with av.open(str(clip)) as container:
        for frame in container.decode(audio=0):
            values = frame.to_ndarray()[0]
            rate_hz = frame.sample_rate
            times.append(float(frame.time or 0) + np.arange(len(values)) / rate_hz)
            samples.append(values)
    return np.concatenate(times), np.concatenate(samples), rate_hz


def dropouts(clip: Path) -> list[float]:
    """Find where the tone is not heard for 20 ms, in seconds of the clip. Its two ends do not count."""
    times, samples, _ = _sound(clip)
    heard = times[np.abs(samples) > 0.03]
    last = heard[:-1][np.diff(heard) > 0.02]
    return [float(seconds) for seconds in last if seconds > 0.05]


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

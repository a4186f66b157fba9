"""Marks in picture and sound that say when they were captured, and how to read them back.

Picture: 48 blocks a row, each 26/1280 of the width square, white is 1. Top row: 32 bits, most significant
first: the frame number. Second row: 48 bits: the wall clock in milliseconds. The recordings of the real
worker carry the same marks.

Sound: a tone of `440 + 2 * u` Hz, where u is the wall clock in seconds modulo 600. Its phase is a function of
the wall clock alone, so that two runs that record the same instant hold the same sound.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The recorded publisher drew 26 pixels (1280 // 48) into a picture 1280 wide; egress scaled it.
_BLOCK_OF_WIDTH = 26 / 1280
FRAME_NUMBER_BITS = 32
CAPTURED_AT_BITS = 48
TONE_START_HZ = 440.0
TONE_RISE_HZ_PER_SECOND = 2.0
TONE_PERIOD_SECONDS = 600

# Video range luma: 16 is black, 235 white. Anything below this in every block is a black frame.
_LUMA_THRESHOLD = 128
_SILENCE = 1e-3
# Zero padding of the spectrum: with the parabolic fit it reads the frequency to about 0.01 Hz, that is 5 ms.
_SPECTRUM_PADDING = 8


@dataclass(frozen=True, slots=True)
class FrameMark:
    """What the picture says.

    Attributes:
        frame_number: from 0 at the start of the source.
        captured_at_ms: wall clock in milliseconds.
    """

    frame_number: int
    captured_at_ms: int


def draw_frame_mark(luma: NDArray[np.uint8], mark: FrameMark) -> None:
    """Draws a mark over the two top rows of blocks.

    Args:
        luma: height x width, changed in place.
        mark: what to draw.
    """
    width = luma.shape[1]
    size = width * _BLOCK_OF_WIDTH
    rows = ((mark.frame_number, FRAME_NUMBER_BITS), (mark.captured_at_ms, CAPTURED_AT_BITS))
    edges = [round(block * size) for block in range(CAPTURED_AT_BITS + 1)]
    for row, (value, bits) in enumerate(rows):
        line = np.full(width, 16, np.uint8)
        for bit in range(bits):
            if value >> (bits - 1 - bit) & 1:
                line[edges[bit] : edges[bit + 1]] = 235
        luma[edges[row] : edges[row + 1]] = line


def read_frame_mark(luma: NDArray[np.uint8]) -> FrameMark | None:
    """Reads the mark of a decoded frame.

    Args:
        luma: height x width.

    Returns:
        The mark, or None for a frame without one (black).
    """
    size = luma.shape[1] * _BLOCK_OF_WIDTH

    def read(row: int, bits: int) -> int:
        top, bottom = int((row + 0.3) * size), max(int((row + 0.3) * size) + 1, int((row + 0.7) * size))
        value = 0
        for bit in range(bits):
            left, right = int((bit + 0.3) * size), max(int((bit + 0.3) * size) + 1, int((bit + 0.7) * size))
            value = value << 1 | int(luma[top:bottom, left:right].mean() > _LUMA_THRESHOLD)
        return value

    captured_at_ms = read(1, CAPTURED_AT_BITS)
    if captured_at_ms == 0:
        return None
    return FrameMark(read(0, FRAME_NUMBER_BITS), captured_at_ms)


def tone(start_seconds: float, samples: int, sample_rate: int) -> NDArray[np.float32]:
    """The sound of a stretch of time.

    Args:
        start_seconds: wall clock of the first sample.
        samples: how many.
        sample_rate: samples a second.
    """
    position = (start_seconds + np.arange(samples) / sample_rate) % TONE_PERIOD_SECONDS
    cycles = TONE_START_HZ * position + TONE_RISE_HZ_PER_SECOND / 2 * position**2
    return np.asarray(0.3 * np.sin(2 * np.pi * cycles), np.float32)


def read_tone_position(samples: NDArray[np.float32], sample_rate: int) -> float | None:
    """Reads from the sound when its first sample was captured.

    Give it 0.5 s or more; then the error is below 20 ms.

    Args:
        samples: one channel.
        sample_rate: samples a second.

    Returns:
        The wall clock in seconds modulo 600, or None for silence.
    """
    if float(np.abs(samples).max(initial=0.0)) < _SILENCE:
        return None
    seconds = np.arange(len(samples)) / sample_rate
    # Undo the rise: what remains is one steady frequency, that of the first sample.
    steady = samples * np.exp(-1j * np.pi * TONE_RISE_HZ_PER_SECOND * seconds**2) * np.hanning(len(samples))
    length = len(samples) * _SPECTRUM_PADDING
    spectrum = np.abs(np.fft.fft(steady, length))[: length // 2]
    peak = int(spectrum.argmax())
    before, at, after = (float(np.log(spectrum[peak + offset] + 1e-12)) for offset in (-1, 0, 1))
    frequency_hz = (peak + 0.5 * (before - after) / (before - 2 * at + after)) * sample_rate / length
    return (frequency_hz - TONE_START_HZ) / TONE_RISE_HZ_PER_SECOND % TONE_PERIOD_SECONDS

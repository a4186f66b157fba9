"""H.264 and AAC by FFmpeg's libraries, set as the real worker sets its encoders."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.worker.encoding_plan import EncodingPlan

VIDEO_TIME_BASE = Fraction(1, 90_000)
_AAC_FRAME_SAMPLES = 1024
_ADTS_HEADER_BYTES = 7
_ADTS_RATE_INDEX = {
    96_000: 0,
    88_200: 1,
    64_000: 2,
    48_000: 3,
    44_100: 4,
    32_000: 5,
    24_000: 6,
    22_050: 7,
    16_000: 8,
}


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One access unit, with times in seconds from the start of the run."""

    data: bytes
    pts: Fraction
    dts: Fraction
    key: bool


class VideoEncoder:
    """x264 with one key frame a segment, at its start."""

    def __init__(self, plan: EncodingPlan) -> None:
        """Opens the encoder."""
        self._frames_per_second = plan.frames_per_second
        self._group = plan.frames_per_second * plan.segment_seconds
        self._first: int | None = None
        self._next_key = 0
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = plan.width, plan.height, "yuv420p"
        context.time_base = VIDEO_TIME_BASE
        context.framerate = Fraction(plan.frames_per_second)
        context.bit_rate = plan.video_kbps * 1000
        context.gop_size = self._group
        # One thread: a frame-threaded encoder holds frames back, and CPU is dear in a test.
        context.thread_count = 1
        context.options = {
            "preset": "veryfast",
            "profile": plan.profile,
            "sc_threshold": "0",
            "forced-idr": "1",
            "maxrate": str(plan.video_kbps * 1000),
            "bufsize": str(plan.video_kbps * 1000 * min(plan.segment_seconds, 10)),
            "color_range": "tv",
            "colorspace": "bt709",
            "color_primaries": "bt709",
            "color_trc": "bt709",
        }
        context.open()
        self._context = context

    def encode(self, picture: NDArray[np.uint8], number: int) -> list[EncodedPacket]:
        """Encodes one frame; what comes out is about ten frames older.

        Args:
            picture: yuv420p, (height * 3 / 2) x width.
            number: its position, from 0; decides its time and whether it is a key frame: the first one of
                each segment length is, counted from the first frame. Numbers may be left out.
        """
        first = self._first = number if self._first is None else self._first
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.time_base = VIDEO_TIME_BASE
        frame.pts = number * VIDEO_TIME_BASE.denominator // self._frames_per_second
        if number >= self._next_key:
            frame.pict_type = av.video.frame.PictureType.I
            self._next_key = first + ((number - first) // self._group + 1) * self._group
        return _packets(self._context.encode(frame))

    def flush(self) -> list[EncodedPacket]:
        """Everything that the encoder still holds. It takes no more frames."""
        return _packets(self._context.encode(None))


class AudioEncoder:
    """AAC-LC in ADTS frames, the first at time 0."""

    def __init__(self, plan: EncodingPlan) -> None:
        """Opens the encoder."""
        context = av.CodecContext.create("aac", "w")
        context.sample_rate = plan.audio_hz
        context.layout = "stereo"
        context.format = "fltp"
        context.bit_rate = plan.audio_kbps * 1000
        context.time_base = Fraction(1, plan.audio_hz)
        # Half the CPU of the defaults; one tone needs none of the tools.
        tools_off = {f"aac_{tool}": "0" for tool in ("tns", "pns", "is", "ms")}
        context.options = {"aac_coder": "fast", **tools_off}
        context.open()
        self._context = context
        self._sample_rate = plan.audio_hz
        self._held = np.zeros(0, np.float32)
        self._next_sample = 0

    @property
    def samples_taken(self) -> int:
        """How many samples have been given to it."""
        return self._next_sample + len(self._held)

    def encode(self, samples: NDArray[np.float32]) -> list[EncodedPacket]:
        """Encodes samples of one channel (both channels get them); a rest waits for the next call."""
        self._held = np.concatenate([self._held, samples])
        packets: list[EncodedPacket] = []
        while len(self._held) >= _AAC_FRAME_SAMPLES:
            block, self._held = self._held[:_AAC_FRAME_SAMPLES], self._held[_AAC_FRAME_SAMPLES:]
            frame = av.AudioFrame.from_ndarray(np.stack([block, block]), format="fltp", layout="stereo")
            frame.sample_rate = self._sample_rate
            frame.time_base = Fraction(1, self._sample_rate)
            frame.pts = self._next_sample
            self._next_sample += _AAC_FRAME_SAMPLES
            packets += self._framed(_packets(self._context.encode(frame)))
        return packets

    def flush(self) -> list[EncodedPacket]:
        """Everything that the encoder still holds. It takes no more samples."""
        return self._framed(_packets(self._context.encode(None)))

    def _framed(self, packets: list[EncodedPacket]) -> list[EncodedPacket]:
        # The real runs start at 3600.000 s sharp: the packet of encoder delay before time 0 is not written.
        return [
            EncodedPacket(self._adts_header(len(packet.data)) + packet.data, packet.pts, packet.dts, key=True)
            for packet in packets
            if packet.pts >= 0
        ]

    def _adts_header(self, payload_bytes: int) -> bytes:
        """The header of ISO/IEC 13818-7 for AAC-LC, stereo, without CRC."""
        length = payload_bytes + _ADTS_HEADER_BYTES
        profile, channels = 1, 2
        bits = 0xFFF << 44 | 1 << 40  # sync word; no CRC
        bits |= profile << 38 | _ADTS_RATE_INDEX[self._sample_rate] << 34 | channels << 30
        bits |= length << 13 | 0x7FF << 2  # buffer fullness: variable rate; one frame
        return bits.to_bytes(_ADTS_HEADER_BYTES, "big")


def _packets(encoded: Iterable["av.Packet[Any]"]) -> list[EncodedPacket]:
    packets = []
    for packet in encoded:
        if packet.pts is None or packet.dts is None or packet.time_base is None:
            continue
        packets.append(
            EncodedPacket(
                bytes(packet),
                packet.pts * packet.time_base,
                packet.dts * packet.time_base,
                packet.is_keyframe,
            )
        )
    return packets

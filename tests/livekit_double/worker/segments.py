"""Cutting packets into segments, and writing one segment as MPEG-TS."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av

from tests.livekit_double.worker.encoders import EncodedPacket
from tests.livekit_double.worker.encoding_plan import EncodingPlan

# Every run of the real worker starts at one hour.
PTS_OFFSET_SECONDS = 3600
# The PIDs of the real worker.
_PMT_PID = 0x20
_VIDEO_PID = 0x41
_AUDIO_PID = 0x42


@dataclass(frozen=True, slots=True)
class Segment:
    """One finished segment.

    Attributes:
        index: position in the run.
        video: its packets in decoding order.
        audio: its packets in order.
        start: first media time, in seconds from the start of the run.
        end: where the next segment starts; for the last one, its last picture (what EXTINF says there too).
    """

    index: int
    video: tuple[EncodedPacket, ...]
    audio: tuple[EncodedPacket, ...]
    start: Fraction
    end: Fraction


@dataclass(slots=True)
class Cutter:
    """Collects packets and cuts at every key frame; without video, at every full segment length of sound."""

    has_video: bool
    segment_seconds: int
    _video: list[EncodedPacket] = field(default_factory=list)
    _audio: list[EncodedPacket] = field(default_factory=list)
    _next_index: int = 0

    def add_video(self, packets: Sequence[EncodedPacket]) -> list[Segment]:
        """Adds pictures; returns the segments that they end."""
        ended = []
        for packet in packets:
            if packet.key and self._video:
                ended.append(self._cut(packet.pts))
            self._video.append(packet)
        return ended

    def add_audio(self, packets: Sequence[EncodedPacket]) -> list[Segment]:
        """Adds sound; returns the segments that it ends (only where there is no video)."""
        ended = []
        for packet in packets:
            end = (self._next_index + 1) * self.segment_seconds
            if not self.has_video and packet.pts >= end:
                ended.append(self._cut(packet.pts))
            self._audio.append(packet)
        return ended

    def finish(self) -> list[Segment]:
        """The rest, however short."""
        if not self._video and not self._audio:
            return []
        timed = self._video or self._audio
        last = max(packet.pts for packet in timed)
        video, audio = tuple(self._video), tuple(self._audio)
        self._video, self._audio = [], []
        return [self._segment(video, audio, last)]

    def _cut(self, end: Fraction) -> Segment:
        video = tuple(self._video)
        audio = tuple(packet for packet in self._audio if packet.pts < end)
        self._video = []
        self._audio = self._audio[len(audio) :]
        return self._segment(video, audio, end)

    def _segment(
        self, video: tuple[EncodedPacket, ...], audio: tuple[EncodedPacket, ...], end: Fraction
    ) -> Segment:
        index = self._next_index
        self._next_index += 1
        return Segment(index, video, audio, min(packet.pts for packet in video or audio), end)


def write_transport_stream(path: str, segment: Segment, plan: EncodingPlan) -> None:
    """Writes a segment as MPEG-TS, one PES packet an access unit, as GStreamer's muxer does.

    Args:
        path: of the file to make.
        segment: what to write.
        plan: sizes and rates for the stream headers.

    Raises:
        OSError: if the file cannot be written.
    """
    options = {
        "mpegts_copyts": "1",
        "pes_payload_size": "0",
        # With lengths in the video's PES headers, readers see that the last picture of a segment is whole
        # although the continuity counters start again in the next file, as in the real segments.
        "omit_video_pes_length": "0",
        "mpegts_pmt_start_pid": str(_PMT_PID),
        "mpegts_start_pid": str(_VIDEO_PID if segment.video else _AUDIO_PID),
    }
    with av.open(path, "w", format="mpegts", options=options) as container:
        queued = []
        if segment.video:
            stream = container.add_mux_stream(
                "libx264", rate=plan.frames_per_second, width=plan.width, height=plan.height
            )
            queued += [(packet.dts, stream, packet) for packet in segment.video]
        if segment.audio:
            stream = container.add_mux_stream("aac", rate=plan.audio_hz)
            queued += [(packet.dts, stream, packet) for packet in segment.audio]
        for _, stream, packet in sorted(queued, key=lambda entry: entry[0]):
            muxed = av.Packet(packet.data)
            muxed.stream = stream
            muxed.time_base = Fraction(1, 90_000)
            muxed.pts = _ticks(packet.pts)
            muxed.dts = _ticks(packet.dts)
            muxed.is_keyframe = packet.key
            container.mux_one(muxed)


def _ticks(seconds: Fraction) -> int:
    return round((seconds + PTS_OFFSET_SECONDS) * 90_000)

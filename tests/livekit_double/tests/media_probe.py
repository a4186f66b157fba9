"""What is in a segment: packets by PyAV, pictures and sound decoded."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.marks import FrameMark, read_frame_mark


@dataclass(frozen=True, slots=True)
class PacketTime:
    """One packet: times in seconds, key frame or not."""

    pts: float
    dts: float
    key: bool


def packets(path: Path, kind: str) -> list[PacketTime]:
    """The packets of one track of a segment, in file order.

    Args:
        path: the segment.
        kind: `video` or `audio`.
    """
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            PacketTime(float(each.pts * each.time_base), float(each.dts * each.time_base), each.is_keyframe)
            for each in (container.demux(streams) if streams else ())
            if each.pts is not None and each.dts is not None and each.time_base is not None
        ]


def stream_properties(path: Path) -> dict[str, dict[str, object]]:
    """Codec, profile and the like of both tracks."""
    properties: dict[str, dict[str, object]] = {}
    with av.open(str(path)) as container:
        for video in container.streams.video:
            context = video.codec_context
            properties["video"] = {
                "codec": context.name,
                "profile": video.profile,
                "pix_fmt": context.pix_fmt,
                "size": (context.width, context.height),
                "b_frames": context.has_b_frames,
                "time_base": video.time_base,
                "pid": video.id,
            }
        for audio in container.streams.audio:
            properties["audio"] = {
                "codec": audio.codec_context.name,
                "profile": audio.profile,
                "rate": audio.codec_context.sample_rate,
                "channels": audio.codec_context.channels,
                "time_base": audio.time_base,
                "pid": audio.id,
            }
    return properties


def lumas(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Every picture: its PTS in seconds, and its luma."""
    with av.open(str(path)) as container:
        return [(float(frame.time or 0.0), _luma(frame)) for frame in container.decode(video=0)]


def marks(path: Path) -> list[tuple[float, FrameMark | None]]:
    """Every picture: its PTS in seconds, and its mark."""
    return [(pts, read_frame_mark(luma)) for pts, luma in lumas(path)]


def sound(path: Path) -> tuple[float, NDArray[np.float32], int]:
    """The sound: PTS of the first sample, one channel, sample rate."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32)
    return float(frames[0].time or 0.0), samples, frames[0].sample_rate


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]

"""How many workers and how many bytes a set of buffers needs."""

from __future__ import annotations

import math

from replay_operator.api.replaybuffer import Encoding, EncodingPreset, ReplayBuffer

DEFAULT_SLACK_SECONDS = 120
"""Fail-over, pin latency and the tail not yet on disk; the published 12 minutes for 10 (DESIGN §8)."""

AUDIO_KBPS = 128

_PRESET_VIDEO_KBPS = {
    EncodingPreset.H264_720P_30: 3000,
    EncodingPreset.H264_720P_60: 4500,
    EncodingPreset.H264_1080P_30: 4500,
    EncodingPreset.H264_1080P_60: 6000,
    EncodingPreset.PORTRAIT_H264_720P_30: 3000,
    EncodingPreset.PORTRAIT_H264_720P_60: 4500,
    EncodingPreset.PORTRAIT_H264_1080P_30: 4500,
    EncodingPreset.PORTRAIT_H264_1080P_60: 6000,
}
"""LiveKit's presets, kbit/s (livekit.md §2.1)."""


def bytes_per_second(encoding: Encoding) -> int:
    """Give the write rate of a recording in bytes a second."""
    if encoding.advanced is not None:
        kbps = encoding.advanced.video_kbps + encoding.advanced.audio_kbps
    else:
        kbps = _PRESET_VIDEO_KBPS[encoding.preset or EncodingPreset.H264_720P_30] + AUDIO_KBPS
    return kbps * 1000 // 8


def window_bytes(buffer: ReplayBuffer) -> int:
    """Give how much of the buffer volume a buffer fills when its window is full, in bytes.

    Args:
        buffer: The resource.
    """
    return bytes_per_second(buffer.spec.encoding) * (buffer.spec.window_seconds + DEFAULT_SLACK_SECONDS)


def worker_floor(buffers: int, *, per_worker: int, headroom: int, minimum: int, maximum: int) -> int:
    """Give the HPA's minReplicas: workers that are there before they are needed.

    Args:
        buffers: Recording, waiting and handing over.
        per_worker: How many one worker carries.
        headroom: Workers to spare.
        minimum: Never fewer.
        maximum: Never more.
    """
    return max(minimum, min(maximum, math.ceil(buffers / per_worker) + headroom))

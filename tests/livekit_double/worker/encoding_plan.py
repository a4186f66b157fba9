"""What to encode: read from the preset or the advanced options of a request."""

from dataclasses import dataclass

from livekit.protocol import egress, models

# width, height, frames a second, video kbit/s of each preset, from livekit_egress.proto.
_PRESETS = {
    egress.EncodingOptionsPreset.H264_720P_30: (1280, 720, 30, 3000),
    egress.EncodingOptionsPreset.H264_720P_60: (1280, 720, 60, 4500),
    egress.EncodingOptionsPreset.H264_1080P_30: (1920, 1080, 30, 4500),
    egress.EncodingOptionsPreset.H264_1080P_60: (1920, 1080, 60, 6000),
    egress.EncodingOptionsPreset.PORTRAIT_H264_720P_30: (720, 1280, 30, 3000),
    egress.EncodingOptionsPreset.PORTRAIT_H264_720P_60: (720, 1280, 60, 4500),
    egress.EncodingOptionsPreset.PORTRAIT_H264_1080P_30: (1080, 1920, 30, 4500),
    egress.EncodingOptionsPreset.PORTRAIT_H264_1080P_60: (1080, 1920, 60, 6000),
}
_PROFILES = {
    models.VideoCodec.H264_BASELINE: "baseline",
    models.VideoCodec.H264_MAIN: "main",
    models.VideoCodec.H264_HIGH: "high",
}
# Measured with a preset: AAC-LC at 44.1 kHz, about 130 kbit/s.
_AUDIO_KBPS = 128
_AUDIO_HZ = 44_100
_SEGMENT_SECONDS = 4  # egress's default for segment_duration 0


@dataclass(frozen=True, slots=True)
class EncodingPlan:
    """Settings of both encoders and the length of a segment."""

    width: int
    height: int
    frames_per_second: int
    video_kbps: int
    profile: str
    audio_kbps: int
    audio_hz: int
    segment_seconds: int


def encoding_plan(request: egress.TrackCompositeEgressRequest, segment_seconds: int) -> EncodingPlan:
    """Reads the plan; what `advanced` leaves out has egress's own defaults.

    Args:
        request: the egress request.
        segment_seconds: as requested; 0 means egress's default.
    """
    width, height, frames_per_second, video_kbps = _PRESETS.get(
        request.preset, _PRESETS[egress.EncodingOptionsPreset.H264_720P_30]
    )
    options = request.advanced if request.HasField("advanced") else egress.EncodingOptions()
    return EncodingPlan(
        width=options.width or width,
        height=options.height or height,
        frames_per_second=options.framerate or frames_per_second,
        video_kbps=options.video_bitrate or video_kbps,
        profile=_PROFILES.get(options.video_codec, "main"),
        audio_kbps=options.audio_bitrate or _AUDIO_KBPS,
        audio_hz=options.audio_frequency or _AUDIO_HZ,
        segment_seconds=segment_seconds or _SEGMENT_SECONDS,
    )

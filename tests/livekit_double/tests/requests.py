"""Egress requests of the tests."""

from pathlib import Path

from livekit.protocol import egress, models

from tests.livekit_double.fixtures import DoubleInProcess

SMALL = egress.EncodingOptions(width=320, height=180, framerate=15, video_bitrate=200, audio_bitrate=64)
SOURCES = ("CAMERA", "MICROPHONE")


def small_request(
    directory: Path, *, room: str = "standup", video: str = "", audio: str = "", segment_seconds: int = 1
) -> egress.TrackCompositeEgressRequest:
    """A request for a small picture in short segments."""
    return egress.TrackCompositeEgressRequest(
        room_name=room,
        video_track_id=video,
        audio_track_id=audio,
        advanced=SMALL,
        segment_outputs=[
            egress.SegmentedFileOutput(
                filename_prefix=f"{directory}/seg",
                playlist_name="index.m3u8",
                live_playlist_name="live.m3u8",
                segment_duration=segment_seconds,
            )
        ],
    )


def request_for(
    double: DoubleInProcess,
    directory: Path,
    *,
    identity: str = "alice",
    segment_seconds: int = 1,
    profile: models.VideoCodec = models.VideoCodec.DEFAULT_VC,
) -> egress.TrackCompositeEgressRequest:
    """Lets somebody join with camera and microphone, and asks for a recording of both."""
    double.rooms.join("standup", identity, SOURCES)
    request = small_request(
        directory,
        video=double.rooms.track_sid("standup", identity, "CAMERA"),
        audio=double.rooms.track_sid("standup", identity, "MICROPHONE"),
        segment_seconds=segment_seconds,
    )
    request.advanced.video_codec = profile
    return request

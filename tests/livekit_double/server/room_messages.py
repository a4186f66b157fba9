"""The messages of new rooms, participants and tracks, filled as the recorded ones are."""

import time

from livekit.protocol import models

from tests.livekit_double.identifiers import new_identifier

_VIDEO_SOURCES = ("CAMERA", "SCREEN_SHARE")
_AUDIO_SOURCES = ("MICROPHONE", "SCREEN_SHARE_AUDIO")
# What a recorded room_started webhook says of a room that nobody configured.
_EMPTY_TIMEOUT_SECONDS = 300
_DEPARTURE_TIMEOUT_SECONDS = 20
_CODECS = (
    "audio/PCMU",
    "audio/PCMA",
    "audio/opus",
    "audio/red",
    "video/VP8",
    "video/H264",
    "video/VP9",
    "video/AV1",
    "video/H265",
    "video/rtx",
)


def new_room(name: str) -> models.Room:
    """A room that opens now."""
    now_ms = _now_ms()
    return models.Room(
        sid=new_identifier("RM_"),
        name=name,
        empty_timeout=_EMPTY_TIMEOUT_SECONDS,
        departure_timeout=_DEPARTURE_TIMEOUT_SECONDS,
        creation_time=now_ms // 1000,
        creation_time_ms=now_ms,
        turn_password=new_identifier(""),
        enabled_codecs=[models.Codec(mime=mime) for mime in _CODECS],
    )


def new_participant(identity: str, kind: str) -> models.ParticipantInfo:
    """A participant who joins now; an EGRESS is hidden and a recorder.

    Args:
        identity: who joins.
        kind: a `ParticipantInfo.Kind`.
    """
    now_ms = _now_ms()
    egress = kind == "EGRESS"
    return models.ParticipantInfo(
        sid=new_identifier("PA_"),
        identity=identity,
        name="" if egress else identity,
        state=models.ParticipantInfo.ACTIVE,
        joined_at=now_ms // 1000,
        joined_at_ms=now_ms,
        version=2,
        kind=kind,
        permission=models.ParticipantPermission(
            can_subscribe=True,
            can_publish=not egress,
            can_publish_data=not egress,
            hidden=egress,
            recorder=egress,
        ),
    )


def new_track(source: str, width: int, height: int) -> models.TrackInfo:
    """A track with a new id.

    Args:
        source: CAMERA, MICROPHONE, SCREEN_SHARE or SCREEN_SHARE_AUDIO.
        width: pixels, for video.
        height: pixels, for video.

    Raises:
        ValueError: for another source.
    """
    if source not in _VIDEO_SOURCES + _AUDIO_SOURCES:
        raise ValueError(f"source {source!r} is none of {', '.join(_VIDEO_SOURCES + _AUDIO_SOURCES)}")
    video = source in _VIDEO_SOURCES
    return models.TrackInfo(
        sid=new_identifier("TR_VC" if video else "TR_AM"),
        type=models.TrackType.VIDEO if video else models.TrackType.AUDIO,
        source=source,
        name=source.lower(),
        mime_type="video/VP8" if video else "audio/red",
        width=width if video else 0,
        height=height if video else 0,
        stream="screen_share" if source.startswith("SCREEN") else "camera",
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

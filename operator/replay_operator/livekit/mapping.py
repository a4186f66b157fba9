"""Between LiveKit's protobuf messages and the domain, both ways. Pure."""

from __future__ import annotations

from livekit.protocol import egress as proto_egress
from livekit.protocol import models as proto_models

from replay_operator.api.replaybuffer import AdvancedEncoding, Encoding
from replay_operator.domain.egress import (
    Egress,
    EgressState,
    Participant,
    PublishedTrack,
    StartRequest,
    TrackKind,
)
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST

AUDIO_FREQUENCY_HZ = 44_100
"""What the presets use too (livekit-measured §2), so that a change of encoding keeps the sound joinable."""

# Looked up for each egress of each list: asking protobuf's enum for its names costs ten times as much.
_STATES = {
    number: EgressState(name)
    for name, number in proto_egress.EgressStatus.items()
    if name in list(EgressState)
}
_SOURCES = {number: name for name, number in proto_models.TrackSource.items()}
_KINDS = {proto_models.TrackType.VIDEO: TrackKind.VIDEO, proto_models.TrackType.AUDIO: TrackKind.AUDIO}


def egress_from_proto(info: proto_egress.EgressInfo) -> Egress:
    """Read one EgressInfo.

    An egress of another kind than Track Composite to segments has an empty `filename_prefix`.

    Args:
        info: As LiveKit's list, start or a webhook gives it.
    """
    request = info.track_composite
    result = info.segment_results[0] if info.segment_results else info.segments
    return Egress(
        id=info.egress_id,
        room=info.room_name,
        # LiveKit itself counts every status above ENDING as over (livekit.md §2.7): so must one that is
        # newer than this client, and what ended for an unknown reason is worth recording again.
        state=_STATES.get(info.status, EgressState.FAILED),
        filename_prefix=request.segment_outputs[0].filename_prefix if request.segment_outputs else "",
        started_at_ns=info.started_at,
        media_started_at_ns=result.started_at,
        ended_at_ns=info.ended_at,
        updated_at_ns=info.updated_at,
        video_track=request.video_track_id or None,
        audio_track=request.audio_track_id or None,
        details=info.details,
        error=info.error,
        error_code=info.error_code,
    )


def participant_from_proto(info: proto_models.ParticipantInfo) -> Participant:
    """Read one participant. Data tracks are left out: nobody can record them.

    Args:
        info: As LiveKit's list of participants gives it.
    """
    return Participant(
        identity=info.identity,
        tracks=tuple(
            PublishedTrack(
                sid=t.sid, kind=_KINDS[t.type], source=_SOURCES.get(t.source, "UNKNOWN"), muted=t.muted
            )
            for t in info.tracks
            if t.type in _KINDS
        ),
    )


def start_to_proto(request: StartRequest) -> proto_egress.TrackCompositeEgressRequest:
    """Write the request for a Track Composite egress to HLS segments on the worker's local disk.

    Args:
        request: What to record, how, and where to.
    """
    message = _encoding(request.encoding)
    message.MergeFrom(
        proto_egress.TrackCompositeEgressRequest(
            room_name=request.room,
            video_track_id=request.tracks.video or "",
            audio_track_id=request.tracks.audio or "",
            segment_outputs=[
                proto_egress.SegmentedFileOutput(
                    protocol=proto_egress.SegmentedFileProtocol.HLS_PROTOCOL,
                    filename_prefix=request.filename_prefix,
                    playlist_name=INDEX_PLAYLIST,
                    live_playlist_name=LIVE_PLAYLIST,
                    segment_duration=request.segment_seconds,
                    filename_suffix=proto_egress.SegmentedFileSuffix.INDEX,
                )
            ],
        )
    )
    return message


def _encoding(encoding: Encoding) -> proto_egress.TrackCompositeEgressRequest:
    if encoding.preset is not None:
        return proto_egress.TrackCompositeEgressRequest(preset=encoding.preset.value)
    if encoding.advanced is not None:
        return proto_egress.TrackCompositeEgressRequest(advanced=_encoding_options(encoding.advanced))
    raise ValueError("an encoding needs a preset or advanced numbers: set one of them")


def _encoding_options(advanced: AdvancedEncoding) -> proto_egress.EncodingOptions:
    return proto_egress.EncodingOptions(
        width=advanced.width,
        height=advanced.height,
        framerate=advanced.framerate,
        video_codec=proto_models.VideoCodec.H264_MAIN,
        video_bitrate=advanced.video_kbps,  # egress takes kbit/s for both (livekit.md §2.4)
        audio_codec=proto_models.AudioCodec.AAC,
        audio_bitrate=advanced.audio_kbps,
        audio_frequency=AUDIO_FREQUENCY_HZ,
    )

"""LiveKit's messages as recorded from the real server, read into the domain and written from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict
from livekit.protocol.egress import (
    EgressInfo,
    EncodingOptionsPreset,
    RoomCompositeEgressRequest,
    SegmentedFileOutput,
)
from livekit.protocol.models import AudioCodec, ParticipantInfo, TrackInfo, TrackSource, TrackType, VideoCodec

from replay_operator.api.replaybuffer import AdvancedEncoding, Encoding, EncodingPreset
from replay_operator.domain.egress import (
    Egress,
    EgressState,
    Participant,
    PublishedTrack,
    RecordedPair,
    StartRequest,
    TrackKind,
)
from replay_operator.livekit.mapping import egress_from_proto, participant_from_proto, start_to_proto

RECORDED = Path(__file__).parents[1] / "data" / "livekit" / "adapter" / "egress.jsonl"


def recorded(case: str) -> list[Egress]:
    rows = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return [egress_from_proto(ParseDict(row["egress"], EgressInfo())) for row in rows if row["case"] == case]


def a_start(encoding: Encoding, *, video: str | None = "TR_V", audio: str | None = "TR_A") -> StartRequest:
    return StartRequest(
        room="standup",
        tracks=RecordedPair(video=video, audio=audio),
        filename_prefix="/out/ns/uid/run/seg",
        segment_seconds=4,
        encoding=encoding,
    )


PRESET = Encoding(preset=EncodingPreset.H264_720P_30)


def test_every_field_of_an_ended_egress_is_read() -> None:
    assert recorded("stop")[-1] == Egress(
        id="EG_ERxjFpuwJdUy",
        room="room1",
        state=EgressState.COMPLETE,
        filename_prefix="/out/run/seg",
        started_at_ns=1795357262882892213,
        media_started_at_ns=1795357263144047495,
        ended_at_ns=1795357476963301893,
        updated_at_ns=1795357476963301893,
        video_track="TR_VCSndQi2BCYqNB",
        audio_track="TR_AMKJGd58F5kHbb",
        details="End reason: StopEgress API",
        error="",
        error_code=0,
    )


@pytest.mark.parametrize(
    ("case", "states"),
    [
        ("start", ["STARTING", "ACTIVE"]),
        ("stop", ["ACTIVE", "ENDING", "COMPLETE"]),
        ("publisher-left", ["STARTING", "ACTIVE", "ENDING", "COMPLETE"]),
        ("unknown-track", ["STARTING", "FAILED"]),
        ("handler-killed", ["ACTIVE", "FAILED"]),
    ],
)
def test_the_states_of_a_recorded_egress_are_read_in_order(case: str, states: list[str]) -> None:
    assert [egress.state for egress in recorded(case)] == [EgressState[name] for name in states]


def test_the_clock_of_a_run_is_unknown_until_the_egress_is_active() -> None:
    starting, active = recorded("start")
    assert starting.media_started_at is None
    assert active.media_started_at is not None
    assert active.media_started_at.isoformat() == "2026-11-22T14:21:03.144047+00:00"


def test_why_an_egress_failed_is_kept() -> None:
    failed = recorded("unknown-track")[-1]
    assert (failed.error, failed.error_code) == ("track TR_AMdoesnotexist not found", 404)
    assert failed.details == "End reason: Failure"


def test_why_a_complete_egress_ended_is_kept() -> None:
    assert recorded("publisher-left")[-1].details == "End reason: Source closed"


def test_an_egress_of_another_kind_has_an_empty_prefix() -> None:
    info = EgressInfo(egress_id="EG_1", room_composite=RoomCompositeEgressRequest(room_name="standup"))
    egress = egress_from_proto(info)
    assert (egress.filename_prefix, egress.video_track, egress.audio_track) == ("", None, None)


def test_a_status_newer_than_this_client_counts_as_over() -> None:
    info = EgressInfo.FromString(
        EgressInfo(egress_id="EG_1").SerializeToString() + b"\x18\x63"
    )  # status = 99
    assert info.status == 99
    assert egress_from_proto(info).state.is_over


def test_a_participant_shows_what_can_be_recorded() -> None:
    info = ParticipantInfo(
        identity="alice",
        tracks=[
            TrackInfo(sid="TR_V", type=TrackType.VIDEO, source=TrackSource.SCREEN_SHARE),
            TrackInfo(sid="TR_A", type=TrackType.AUDIO, source=TrackSource.SCREEN_SHARE_AUDIO, muted=True),
            TrackInfo(sid="TR_D", type=TrackType.DATA),
        ],
    )
    assert participant_from_proto(info) == Participant(
        identity="alice",
        tracks=(
            PublishedTrack(sid="TR_V", kind=TrackKind.VIDEO, source="SCREEN_SHARE"),
            PublishedTrack(sid="TR_A", kind=TrackKind.AUDIO, source="SCREEN_SHARE_AUDIO", muted=True),
        ),
    )


def test_a_track_source_newer_than_this_client_is_unknown() -> None:
    track = TrackInfo.FromString(
        TrackInfo(sid="TR_V", type=TrackType.VIDEO).SerializeToString() + b"\x48\x63"
    )
    assert track.source == 99
    assert participant_from_proto(ParticipantInfo(tracks=[track])).tracks[0].source == "UNKNOWN"


def test_a_start_asks_for_numbered_hls_segments_with_both_playlists() -> None:
    request = start_to_proto(a_start(PRESET))
    (output,) = request.segment_outputs
    assert (request.room_name, request.video_track_id, request.audio_track_id) == ("standup", "TR_V", "TR_A")
    assert (output.filename_prefix, output.segment_duration) == ("/out/ns/uid/run/seg", 4)
    assert (output.playlist_name, output.live_playlist_name) == ("index.m3u8", "live.m3u8")
    assert (output.protocol, output.filename_suffix) == (1, 0)  # HLS_PROTOCOL, INDEX
    assert output.WhichOneof("output") is None  # nothing set: the worker's local disk


def test_a_start_is_what_the_real_server_recorded_as_asked() -> None:
    row = json.loads(RECORDED.read_text().splitlines()[0])
    asked = ParseDict(row["egress"], EgressInfo()).track_composite
    made = start_to_proto(
        StartRequest(
            room="room1",
            tracks=RecordedPair(video="TR_VCSndQi2BCYqNB", audio="TR_AMKJGd58F5kHbb"),
            filename_prefix="/out/run/seg",
            segment_seconds=6,
            encoding=PRESET,
        )
    )
    # The recorded call left the protocol at its default, which is HLS too.
    asked.segment_outputs[0].MergeFrom(SegmentedFileOutput(protocol="HLS_PROTOCOL"))
    assert made == asked


@pytest.mark.parametrize("preset", EncodingPreset)
def test_every_preset_of_ours_is_the_one_of_livekit(preset: EncodingPreset) -> None:
    request = start_to_proto(a_start(Encoding(preset=preset)))
    assert request.WhichOneof("options") == "preset"
    assert EncodingOptionsPreset.Name(request.preset) == preset.value


def test_own_numbers_are_sent_in_kilobits_with_codecs_that_hls_takes() -> None:
    numbers = AdvancedEncoding(width=320, height=180, framerate=15, video_kbps=200, audio_kbps=64)
    request = start_to_proto(a_start(Encoding(advanced=numbers)))
    assert request.WhichOneof("options") == "advanced"
    options = request.advanced
    assert (options.width, options.height, options.framerate) == (320, 180, 15)
    assert (options.video_bitrate, options.audio_bitrate, options.audio_frequency) == (200, 64, 44_100)
    assert (options.video_codec, options.audio_codec) == (VideoCodec.H264_MAIN, AudioCodec.AAC)


@pytest.mark.parametrize(("video", "audio"), [("TR_V", None), (None, "TR_A")])
def test_a_track_that_is_not_wanted_is_left_empty(video: str | None, audio: str | None) -> None:
    request = start_to_proto(a_start(PRESET, video=video, audio=audio))
    assert (request.video_track_id or None, request.audio_track_id or None) == (video, audio)


def test_an_encoding_without_preset_and_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="set one of them"):
        start_to_proto(a_start(Encoding()))

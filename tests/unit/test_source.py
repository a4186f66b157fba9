"""From who shall be recorded to which tracks."""

from __future__ import annotations

import pytest

from replay_operator.api.replaybuffer import AudioSource, ParticipantSource, VideoSource
from replay_operator.domain.egress import Participant, PublishedTrack, RecordedPair, TrackKind
from replay_operator.domain.source import resolve

CAMERA = PublishedTrack("TR_VCcam", TrackKind.VIDEO, "CAMERA")
SCREEN = PublishedTrack("TR_VSscreen", TrackKind.VIDEO, "SCREEN_SHARE")
MICROPHONE = PublishedTrack("TR_AMmic", TrackKind.AUDIO, "MICROPHONE")
SCREEN_SOUND = PublishedTrack("TR_ASsound", TrackKind.AUDIO, "SCREEN_SHARE_AUDIO")
ALICE = Participant("alice", (CAMERA, MICROPHONE, SCREEN, SCREEN_SOUND))
BOB = Participant("bob", (PublishedTrack("TR_VCbob", TrackKind.VIDEO, "CAMERA"),))


@pytest.mark.parametrize(
    ("video", "audio", "pair"),
    [
        (VideoSource.CAMERA, AudioSource.MICROPHONE, RecordedPair("TR_VCcam", "TR_AMmic")),
        (VideoSource.SCREEN_SHARE, AudioSource.SCREEN_SHARE_AUDIO, RecordedPair("TR_VSscreen", "TR_ASsound")),
        (VideoSource.SCREEN_SHARE, None, RecordedPair("TR_VSscreen", None)),
        (None, AudioSource.MICROPHONE, RecordedPair(None, "TR_AMmic")),
    ],
)
def test_the_wished_tracks_of_the_wished_participant_are_found(
    video: VideoSource | None, audio: AudioSource | None, pair: RecordedPair
) -> None:
    wish = ParticipantSource(identity="alice", video=video, audio=audio)
    assert resolve(wish, (BOB, ALICE)) == pair


def test_one_of_two_wished_tracks_is_enough() -> None:
    wish = ParticipantSource(identity="bob", video=VideoSource.CAMERA, audio=AudioSource.MICROPHONE)
    assert resolve(wish, (ALICE, BOB)) == RecordedPair("TR_VCbob", None)


@pytest.mark.parametrize("there", [None, (), (ALICE,), (Participant("bob", ()),)])
def test_without_the_participant_or_any_wished_track_there_is_nothing_to_record(
    there: tuple[Participant, ...] | None,
) -> None:
    wish = ParticipantSource(identity="bob", video=VideoSource.CAMERA, audio=AudioSource.MICROPHONE)
    assert resolve(wish, there) is None


def test_another_participants_track_never_takes_the_place_of_a_missing_one() -> None:
    wish = ParticipantSource(identity="bob", video=VideoSource.SCREEN_SHARE)
    assert resolve(wish, (ALICE, BOB)) is None

"""From a wished source to the tracks that are there."""

from __future__ import annotations

from replay_operator.api.replaybuffer import AudioSource, ParticipantSource, TrackSource, VideoSource
from replay_operator.domain.egress import Participant, RecordedPair

_LIVEKIT_SOURCE = {
    VideoSource.CAMERA: "CAMERA",
    VideoSource.SCREEN_SHARE: "SCREEN_SHARE",
    AudioSource.MICROPHONE: "MICROPHONE",
    AudioSource.SCREEN_SHARE_AUDIO: "SCREEN_SHARE_AUDIO",
}


def resolve(wish: ParticipantSource, participants: tuple[Participant, ...] | None) -> RecordedPair | None:
    """Find the tracks of a participant, or None when there is nothing to record.

    One of two wished tracks is enough: a screen share without sound is recorded without sound.

    Args:
        wish: What the buffer asks for.
        participants: Who is in the room; None: the room does not exist.
    """
    person = next((p for p in participants or () if p.identity == wish.identity), None)
    if person is None:
        return None
    by_source = {track.source: track.sid for track in person.tracks}
    video = by_source.get(_LIVEKIT_SOURCE[wish.video]) if wish.video else None
    audio = by_source.get(_LIVEKIT_SOURCE[wish.audio]) if wish.audio else None
    return RecordedPair(video=video, audio=audio) if video or audio else None


def still_published(tracks: TrackSource, participants: tuple[Participant, ...] | None) -> RecordedPair | None:
    """Give those of some fixed tracks that somebody publishes, or None when nobody publishes any.

    Args:
        tracks: The ids that the buffer names.
        participants: Who is in the room; None: the room does not exist.
    """
    published = {track.sid for person in participants or () for track in person.tracks}
    video = tracks.video if tracks.video in published else None
    audio = tracks.audio if tracks.audio in published else None
    return RecordedPair(video=video, audio=audio) if video or audio else None

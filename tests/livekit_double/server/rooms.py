"""Rooms, participants and tracks, and what happens to them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from livekit.protocol import models

from tests.livekit_double.server.room_messages import new_participant, new_room, new_track
from tests.livekit_double.server.twirp import WRAPPED, TwirpError


class RoomEventKind(StrEnum):
    """Events, by the names of LiveKit's webhooks."""

    ROOM_STARTED = "room_started"
    ROOM_FINISHED = "room_finished"
    PARTICIPANT_JOINED = "participant_joined"
    PARTICIPANT_LEFT = "participant_left"
    TRACK_PUBLISHED = "track_published"
    TRACK_UNPUBLISHED = "track_unpublished"
    TRACK_CHANGED = "track_changed"  # muted or starved: LiveKit sends no webhook for it


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """Something that happened in a room."""

    kind: RoomEventKind
    room: models.Room
    participant: models.ParticipantInfo | None = None
    track: models.TrackInfo | None = None


@dataclass(frozen=True, slots=True)
class Publisher:
    """A participant and the sources that they publish."""

    room: str
    identity: str
    sources: tuple[str, ...]


@dataclass(slots=True)
class _OpenRoom:
    proto: models.Room
    participants: dict[str, models.ParticipantInfo] = field(default_factory=dict)
    starved: set[str] = field(default_factory=set)


class Rooms:
    """All rooms of the server. Listeners hear of every change at once."""

    def __init__(self) -> None:
        self._rooms: dict[str, _OpenRoom] = {}
        self._listeners: list[Callable[[RoomEvent], None]] = []

    def listen(self, listener: Callable[[RoomEvent], None]) -> None:
        """Calls `listener` with every event from now on."""
        self._listeners.append(listener)

    def create(self, name: str) -> models.Room:
        """Opens a room, or returns the one that is open."""
        if name in self._rooms:
            return self.room(name)
        self._rooms[name] = _OpenRoom(new_room(name))
        self._emit(RoomEventKind.ROOM_STARTED, name)
        return self.room(name)

    def delete(self, name: str) -> None:
        """Closes a room: everybody leaves.

        Raises:
            TwirpError: `not_found` if it is not open.
        """
        for identity in list(self._open(name).participants):
            self.leave(name, identity, models.DisconnectReason.ROOM_DELETED)
        self._emit(RoomEventKind.ROOM_FINISHED, name)
        del self._rooms[name]

    def forget(self) -> list[Publisher]:
        """Loses every room without a word, as the death of the server does.

        Returns:
            Who published what: their clients will come back.
        """
        people = [
            Publisher(name, each.identity, tuple(models.TrackSource.Name(t.source) for t in each.tracks))
            for name, opened in self._rooms.items()
            for each in opened.participants.values()
            if not each.permission.recorder
        ]
        self._rooms.clear()
        return people

    def names(self) -> list[str]:
        """The open rooms, oldest first."""
        return list(self._rooms)

    def exists(self, name: str) -> bool:
        """Whether the room is open."""
        return name in self._rooms

    def room(self, name: str) -> models.Room:
        """A room with its present counts.

        Raises:
            TwirpError: `not_found` if it is not open.
        """
        opened = self._open(name)
        visible = [each for each in opened.participants.values() if not each.permission.hidden]
        room = models.Room()
        room.CopyFrom(opened.proto)
        room.num_participants = len(visible)
        room.num_publishers = sum(1 for each in visible if each.tracks)
        room.active_recording = any(each.permission.recorder for each in opened.participants.values())
        return room

    def join(
        self, room: str, identity: str, sources: Iterable[str] = (), *, kind: str = "STANDARD"
    ) -> models.ParticipantInfo:
        """Lets a participant in, opening the room if need be, and publishes tracks.

        Args:
            room: name of the room.
            identity: who joins.
            sources: tracks to publish: CAMERA, MICROPHONE, SCREEN_SHARE, SCREEN_SHARE_AUDIO.
            kind: a `ParticipantInfo.Kind`, such as STANDARD or EGRESS.
        """
        self.create(room)
        if identity in self._open(room).participants:
            self.leave(room, identity, models.DisconnectReason.DUPLICATE_IDENTITY)
        self._open(room).participants[identity] = new_participant(identity, kind)
        self._emit(RoomEventKind.PARTICIPANT_JOINED, room, identity)
        for source in sources:
            self.publish(room, identity, source)
        return self.participant(room, identity)

    def leave(
        self,
        room: str,
        identity: str,
        reason: models.DisconnectReason = models.DisconnectReason.CLIENT_INITIATED,
    ) -> None:
        """Takes a participant and all their tracks out of the room.

        Raises:
            TwirpError: `not_found` if there is no such participant.
        """
        participant = self._participant(room, identity)
        for track in list(participant.tracks):
            self.unpublish(room, track.sid)
        participant.state = models.ParticipantInfo.DISCONNECTED
        participant.disconnect_reason = reason
        del self._open(room).participants[identity]
        self._emit_for(RoomEventKind.PARTICIPANT_LEFT, room, participant)

    def publish(self, room: str, identity: str, source: str, *, width: int = 1280, height: int = 720) -> str:
        """Publishes a track and returns its new id. The same source again gets another id, as in LiveKit.

        Args:
            room: name of the room.
            identity: who publishes.
            source: CAMERA, MICROPHONE, SCREEN_SHARE or SCREEN_SHARE_AUDIO.
            width: pixels, for video.
            height: pixels, for video.

        Raises:
            ValueError: for another source.
        """
        participant = self._participant(room, identity)
        track = new_track(source, width, height)
        participant.tracks.append(track)
        participant.is_publisher = True
        self._emit(RoomEventKind.TRACK_PUBLISHED, room, identity, track)
        return track.sid

    def unpublish(self, room: str, track_sid: str) -> None:
        """Takes one track away.

        Raises:
            KeyError: if the room has no such track.
        """
        participant, track = self._track(room, track_sid)
        gone = models.TrackInfo()
        gone.CopyFrom(track)
        participant.tracks.remove(track)
        self._open(room).starved.discard(track_sid)
        self._emit(RoomEventKind.TRACK_UNPUBLISHED, room, participant.identity, gone)

    def mute(self, room: str, track_sid: str, *, muted: bool = True) -> None:
        """Mutes or unmutes a track.

        Raises:
            KeyError: if the room has no such track.
        """
        participant, track = self._track(room, track_sid)
        track.muted = muted
        self._emit(RoomEventKind.TRACK_CHANGED, room, participant.identity, track)

    def starve(self, room: str, identity: str) -> None:
        """The publisher has vanished and the server does not know yet: no packets, tracks still listed."""
        participant = self._participant(room, identity)
        self._open(room).starved.update(track.sid for track in participant.tracks)
        self._emit(RoomEventKind.TRACK_CHANGED, room, identity)

    def participants(self, room: str) -> list[models.ParticipantInfo]:
        """The participants of a room; none if it is not open."""
        return list(self._rooms[room].participants.values()) if room in self._rooms else []

    def participant(self, room: str, identity: str) -> models.ParticipantInfo:
        """A copy of one participant.

        Raises:
            TwirpError: `not_found` if there is no such participant.
        """
        copy = models.ParticipantInfo()
        copy.CopyFrom(self._participant(room, identity))
        return copy

    def track_sid(self, room: str, identity: str, source: str) -> str:
        """The id of a participant's newest track of one source.

        Raises:
            KeyError: if they do not publish it.
        """
        wanted = models.TrackSource.Value(source)
        for track in reversed(self._participant(room, identity).tracks):
            if track.source == wanted:
                return str(track.sid)
        raise KeyError(f"{identity} in {room} does not publish {source}")

    def media_state(self, room: str) -> dict[str, bool]:
        """Every published track of a room, and whether packets flow (not muted, publisher there)."""
        if room not in self._rooms:
            return {}
        opened = self._rooms[room]
        return {
            track.sid: not track.muted and track.sid not in opened.starved
            for participant in opened.participants.values()
            for track in participant.tracks
        }

    def publisher_of(self, room: str, track_sid: str) -> str:
        """The identity that publishes a track; empty if nobody does."""
        try:
            return str(self._track(room, track_sid)[0].identity)
        except KeyError:
            return ""

    def _open(self, name: str) -> _OpenRoom:
        if name not in self._rooms:
            raise TwirpError("not_found", f"{WRAPPED}requested room does not exist")
        return self._rooms[name]

    def _participant(self, room: str, identity: str) -> models.ParticipantInfo:
        participant = self._open(room).participants.get(identity)
        if participant is None:
            raise TwirpError("not_found", f"{WRAPPED}participant does not exist")
        return participant

    def _track(self, room: str, track_sid: str) -> tuple[models.ParticipantInfo, models.TrackInfo]:
        for participant in self._open(room).participants.values():
            for track in participant.tracks:
                if track.sid == track_sid:
                    return participant, track
        raise KeyError(f"room {room} has no track {track_sid}")

    def _emit(
        self,
        kind: RoomEventKind,
        room: str,
        identity: str | None = None,
        track: models.TrackInfo | None = None,
    ) -> None:
        participant = self._participant(room, identity) if identity is not None else None
        self._emit_for(kind, room, participant, track)

    def _emit_for(
        self,
        kind: RoomEventKind,
        room: str,
        participant: models.ParticipantInfo | None,
        track: models.TrackInfo | None = None,
    ) -> None:
        event = RoomEvent(kind, self.room(room), participant, track)
        for listener in self._listeners:
            listener(event)

"""livekit.RoomService: the calls that a recorder needs."""

from livekit.protocol import models, room

from tests.livekit_double.server.rooms import Rooms


class RoomService:
    """Rooms and participants over Twirp."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def list_rooms(self, request: room.ListRoomsRequest) -> room.ListRoomsResponse:
        """ListRooms, all or the named ones."""
        names = [name for name in self._rooms.names() if not request.names or name in request.names]
        return room.ListRoomsResponse(rooms=[self._rooms.room(name) for name in names])

    async def create_room(self, request: room.CreateRoomRequest) -> models.Room:
        """CreateRoom; an open room is returned as it is."""
        return self._rooms.create(request.name)

    async def delete_room(self, request: room.DeleteRoomRequest) -> room.DeleteRoomResponse:
        """DeleteRoom; everybody leaves."""
        self._rooms.delete(request.room)
        return room.DeleteRoomResponse()

    async def list_participants(self, request: room.ListParticipantsRequest) -> room.ListParticipantsResponse:
        """ListParticipants; an unknown room has none."""
        return room.ListParticipantsResponse(participants=self._rooms.participants(request.room))

    async def get_participant(self, request: room.RoomParticipantIdentity) -> models.ParticipantInfo:
        """GetParticipant."""
        return self._rooms.participant(request.room, request.identity)

    async def remove_participant(
        self, request: room.RoomParticipantIdentity
    ) -> room.RemoveParticipantResponse:
        """RemoveParticipant."""
        self._rooms.leave(request.room, request.identity, models.DisconnectReason.PARTICIPANT_REMOVED)
        return room.RemoveParticipantResponse()

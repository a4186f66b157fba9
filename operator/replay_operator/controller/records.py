"""What became of an egress that LiveKit's list lacks: it is asked for before anything is believed."""

from __future__ import annotations

import logging
from dataclasses import replace

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.egresses import EgressBook
from replay_operator.domain.egress import Egress, EgressState, StartRequest
from replay_operator.domain.endings import is_source_closed
from replay_operator.domain.observation import LiveKitView
from replay_operator.livekit.errors import LiveKitError
from replay_operator.livekit.port import LiveKit

log = logging.getLogger(__name__)


class EgressRecords:
    """Looks single egresses up, and keeps the last record of each buffer's last run for a while."""

    def __init__(self, livekit: LiveKit, egresses: EgressBook) -> None:
        self._livekit = livekit
        self._egresses = egresses
        self._ended: dict[str, Egress] = {}

    async def view(self, buffer: ReplayBuffer) -> LiveKitView:
        """Give what LiveKit says about a buffer, with everything that its list lacks asked for (DESIGN §6.6).

        Args:
            buffer: The resource, with the status that was written last.
        """
        uid = buffer.metadata.uid
        view = self._egresses.view(uid)
        if view.asked_at is None:
            return view
        for egress_id in self._missing(buffer, view):
            try:
                found = await self._livekit.get_egress(egress_id)
            except LiveKitError as error:
                log.warning(
                    "egress %s is not in LiveKit's list and cannot be asked for: %s", egress_id, error
                )
                return replace(view, asked_at=None)
            if found is not None and found.state in (EgressState.STARTING, EgressState.ACTIVE):
                log.warning(
                    "LiveKit's list lacks egress %s, which is active: the list is not believed", egress_id
                )
                view = replace(view, egresses=(*view.egresses, found))
                continue
            if found is None:
                view = replace(view, forgotten=view.forgotten | {egress_id})
            if found is not None and not is_source_closed(found):
                self._note_ended(uid, found)
            if found is None or found.state.is_over:
                self._egresses.note_explained(uid, egress_id)
        return replace(view, ended=self._ended.get(uid))

    async def find(self, request: StartRequest) -> Egress | None:
        """Find what became of a start that was not answered, by its prefix: no other start ever has the same.

        Args:
            request: What was asked for.

        Returns:
            LiveKit's record; None: it has none yet, or does not answer.
        """
        try:
            listed = await self._livekit.list_room(request.room)
        except LiveKitError as error:
            log.warning("what became of a start in room %s cannot be asked for: %s", request.room, error)
            return None
        return next((e for e in listed if e.filename_prefix == request.filename_prefix), None)

    def forget(self, buffer_uid: str) -> None:
        """Drop the record of a buffer whose last run no longer matters.

        Args:
            buffer_uid: Whose.
        """
        self._ended.pop(buffer_uid, None)

    def _missing(self, buffer: ReplayBuffer, view: LiveKitView) -> frozenset[str]:
        uid, known = buffer.metadata.uid, buffer.status.egress
        missing = self._egresses.vanished(uid)
        if known is not None and not self._egresses.was_stopped(known.id):
            missing |= {known.id}
        return missing - {e.id for e in view.egresses}

    def _note_ended(self, uid: str, record: Egress) -> None:
        before = self._ended.get(uid)
        if before is None or before.started_at_ns <= record.started_at_ns:
            self._ended[uid] = record

"""Which egress belongs to which buffer: LiveKit's list, and what we did since that list was asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

from replay_operator.domain.egress import Egress, EgressState
from replay_operator.domain.layout import RunPath, parse_filename_prefix
from replay_operator.domain.observation import LiveKitView
from replay_operator.livekit.poller import Snapshot

STOP_SETTLES = timedelta(seconds=40)
"""After StopEgress an egress ends within 0.3 s, on a starved worker within 9 s, and LiveKit gives up on a
frozen pipeline after 30 s (livekit-measured §2, livekit.md §2.6)."""


SILENT_FOR = timedelta(minutes=10)


class EgressBook:
    """Groups egresses by buffer, found by their filename prefix.

    The prefix is the only truth: it survives a lost status, a crash between start and status, and a time-out
    whose outcome nobody knows (DESIGN §6.1).
    """

    def __init__(self, *, namespace: str, root: str, snapshot: Callable[[], Snapshot]) -> None:
        self._namespace = namespace
        self._root = root
        self._snapshot = snapshot
        self._started: dict[str, dict[str, tuple[Egress, datetime]]] = {}  # by buffer, then by egress
        self._stopped: dict[str, datetime] = {}
        self._silent: dict[str, datetime] = {}
        self._by_buffer: dict[str, tuple[Egress, ...]] = {}
        self._buffer_of: dict[str, str] = {}
        self._vanished: dict[str, set[str]] = {}
        # Taking a prefix apart costs more than all the rest of a look, and every look needs it.
        self._runs: dict[str, RunPath | None] = {}
        self._indexed = -1

    def run_of(self, egress: Egress) -> RunPath | None:
        """Give the run that an egress writes, or None when it is not one of this install's."""
        prefix = egress.filename_prefix
        if prefix not in self._runs:
            path = parse_filename_prefix(prefix, self._root)
            self._runs[prefix] = path if path is not None and path.namespace == self._namespace else None
        return self._runs[prefix]

    def view(self, buffer_uid: str) -> LiveKitView:
        """Give the egresses of a buffer that still write.

        One that is ending is left out: it flushes and goes by itself.
        """
        self._index()
        snapshot = self._snapshot()
        listed = self._by_buffer.get(buffer_uid, ())
        ids = {egress.id for egress in listed}
        started = self._started.get(buffer_uid, {})
        own = tuple(egress for egress, _ in started.values() if egress.id not in ids)
        writing = tuple(egress for egress in (*listed, *own) if self._is_writing(egress))
        return LiveKitView(egresses=writing, asked_at=snapshot.asked_at if snapshot.complete else None)

    def buffers_of(self, egress_ids: frozenset[str]) -> frozenset[str]:
        """Give the buffers that egresses belong to, also those that have just vanished from the list."""
        before = self._buffer_of
        self._index()
        return frozenset(
            uid for book in (before, self._buffer_of) for id_ in egress_ids if (uid := book.get(id_))
        )

    def all_buffers(self) -> frozenset[str]:
        """Give every buffer uid that LiveKit records for in this install."""
        self._index()
        return frozenset(self._by_buffer)

    def second_runs(self) -> int:
        """Count the egresses beyond the first of each buffer: hand-overs. One without a worker is none."""
        self._index()
        return sum(
            max(0, sum(self._is_writing(e) and e.id not in self._silent for e in egresses) - 1)
            for egresses in self._by_buffer.values()
        )

    def _is_writing(self, egress: Egress) -> bool:
        return egress.state is not EgressState.ENDING and egress.id not in self._stopped

    def vanished(self, buffer_uid: str) -> frozenset[str]:
        """Give the egresses of a buffer that LiveKit no longer lists though we have not stopped them."""
        self._index()
        return frozenset(self._vanished.get(buffer_uid, ()))

    def note_explained(self, buffer_uid: str, egress_id: str) -> None:
        """Remember that it is known why an egress has vanished."""
        ids = self._vanished.get(buffer_uid, set())
        ids.discard(egress_id)
        if not ids:
            self._vanished.pop(buffer_uid, None)

    def was_stopped(self, egress_id: str) -> bool:
        """Tell whether we have asked for its end ourselves."""
        return egress_id in self._stopped

    def note_started(self, egress: Egress, now: datetime) -> None:
        """Remember our own start until a list that was asked for later tells of it."""
        path = self.run_of(egress)
        if path is not None:
            self._started.setdefault(path.buffer_uid, {})[egress.id] = (egress, now)

    def note_stopped(self, egress_id: str, now: datetime) -> None:
        """Remember our own stop, so that an older list does not bring the egress back."""
        for started in self._started.values():
            started.pop(egress_id, None)
        self._stopped[egress_id] = now

    def note_silent(self, egress_id: str, now: datetime) -> None:
        """Remember that the worker of an egress does not answer: LiveKit lists it for ever (ibid. §3)."""
        self._silent[egress_id] = now

    def is_silent(self, egress_id: str, now: datetime) -> bool:
        """Tell whether a stop was refused a short while ago because no worker answered; each costs 3 s."""
        at = self._silent.get(egress_id)
        return at is not None and now - at < SILENT_FOR

    def _index(self) -> None:
        snapshot = self._snapshot()
        if snapshot.generation == self._indexed:
            return
        self._indexed = snapshot.generation
        # Only what is listed is kept; a run that was started since is taken apart once more.
        runs = {egress.filename_prefix: self.run_of(egress) for egress in snapshot.egresses.values()}
        self._runs = runs
        groups: dict[str, list[Egress]] = defaultdict(list)
        for egress in snapshot.egresses.values():
            path = runs[egress.filename_prefix]
            if path is not None:
                groups[path.buffer_uid].append(egress)
        self._note_vanished(snapshot)
        self._by_buffer = {uid: tuple(egresses) for uid, egresses in groups.items()}
        self._buffer_of = {egress.id: uid for uid, egresses in groups.items() for egress in egresses}
        self._silent = {id_: at for id_, at in self._silent.items() if id_ in snapshot.egresses}
        self._started = {
            uid: kept
            for uid, started in self._started.items()
            if (kept := {id_: (e, at) for id_, (e, at) in started.items() if at >= snapshot.asked_at})
        }
        self._stopped = {
            id_: at
            for id_, at in self._stopped.items()
            if at >= snapshot.asked_at or (id_ in snapshot.egresses and snapshot.asked_at - at < STOP_SETTLES)
        }

    def _note_vanished(self, snapshot: Snapshot) -> None:
        """Compare with what was there before this list: call it while the old index still stands."""
        before = dict(self._buffer_of)
        for uid, started in self._started.items():
            before.update({id_: uid for id_, (_, at) in started.items() if at < snapshot.asked_at})
        for id_, uid in before.items():
            if id_ not in snapshot.egresses and id_ not in self._stopped:
                self._vanished.setdefault(uid, set()).add(id_)
        for uid, ids in list(self._vanished.items()):
            for id_ in ids & snapshot.egresses.keys():
                self.note_explained(uid, id_)

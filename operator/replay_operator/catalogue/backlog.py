"""What is still to be written: of each object the newest entry alone. Bookkeeping without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from replay_operator.catalogue.writing import Entry


@dataclass(frozen=True, slots=True)
class _Written:
    """What is remembered of an entry: thousands of whole ones would take a kilobyte each."""

    fingerprint: int
    archived_bytes: int


class Backlog:
    """Keeps the newest entry of each object until it is written, in the order in which they began to wait.

    A database that is away for hours costs one entry an object, not one a change: a row is a level, no event.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Entry] = {}
        self._written: dict[str, _Written] = {}
        self._doubted: set[str] = set()
        self._last: set[str] = set()
        self._taken: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, entry: Entry, *, last: bool = False) -> None:
        """Take an entry in the place of an older one of the same object; nothing is written twice.

        Args:
            entry: What is true now.
            last: The object is gone: nothing need be remembered once this is written.
        """
        self._last.discard(entry.uid)
        known = self._written.get(entry.uid) == _written(entry)
        # What is on its way may be written after all, and be untrue by then.
        if not known or entry.uid in self._doubted or entry.uid in self._taken:
            self._waiting[entry.uid] = entry
            if last:
                self._last.add(entry.uid)
            return
        self._waiting.pop(entry.uid, None)
        if last:
            del self._written[entry.uid]

    def unwritten(self) -> Iterator[tuple[Entry, int | None]]:
        """Give what waits, each with the archived bytes of it that were written last, by this process."""
        for entry in self._waiting.values():
            written = self._written.get(entry.uid)
            yield entry, written.archived_bytes if written is not None else None

    def take(self, most: int) -> list[Entry]:
        """Give what has waited longest; it goes on waiting until it is settled.

        Args:
            most: At most so many.
        """
        entries = list(islice(self._waiting.values(), most))
        self._taken = frozenset(entry.uid for entry in entries)
        return entries

    def settle(self, entries: Iterable[Entry]) -> None:
        """Note that entries were written, or never will be. What has changed meanwhile waits on.

        Args:
            entries: From `take`.
        """
        for entry in entries:
            self._written[entry.uid] = _written(entry)
            self._doubted.discard(entry.uid)
            self._taken -= {entry.uid}
            if self._waiting.get(entry.uid) != entry:
                continue
            del self._waiting[entry.uid]
            if entry.uid in self._last:
                self._last.remove(entry.uid)
                del self._written[entry.uid]

    def doubt(self) -> None:
        """Let every entry be written again though it is as it was: somebody else may have written."""
        self._doubted = set(self._written)


def _written(entry: Entry) -> _Written:
    return _Written(entry.fingerprint, entry.archived_bytes)

"""Which buffers a capture wants flushed, and up to when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime


class FlushBook:
    """Passes wishes from captures to their buffers. Lost in a restart, it is filled again by the captures.

    Args:
        on_wish: Called with the uid of a buffer that has a new wish; it must not block.
    """

    def __init__(self, on_wish: Callable[[str], None]) -> None:
        self._on_wish = on_wish
        self._wishes: dict[str, dict[str, datetime]] = {}  # by buffer, then by capture

    def ask(self, buffer_uid: str, capture_uid: str, until: datetime) -> None:
        """Wish that everything before a time comes to the disk as soon as that time is over.

        Args:
            buffer_uid: Whose media.
            capture_uid: Who wants it.
            until: The last instant that is wanted.
        """
        wishes = self._wishes.setdefault(buffer_uid, {})
        if wishes.get(capture_uid) != until:
            wishes[capture_uid] = until
            self._on_wish(buffer_uid)

    def drop(self, buffer_uid: str, capture_uid: str) -> None:
        """Take a wish back: the media is there, or nobody wants it any more.

        Args:
            buffer_uid: Whose media.
            capture_uid: Who wanted it.
        """
        wishes = self._wishes.get(buffer_uid, {})
        wishes.pop(capture_uid, None)
        if not wishes:
            self._wishes.pop(buffer_uid, None)

    def until(self, buffer_uid: str) -> datetime | None:
        """Give the latest instant that is wanted of a buffer, or None.

        Args:
            buffer_uid: Whose media.
        """
        return max(self._wishes.get(buffer_uid, {}).values(), default=None)

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
        self._wishes: dict[str, tuple[str, datetime]] = {}  # by capture

    def ask(self, capture_uid: str, buffer_uid: str, until: datetime) -> None:
        """Wish that everything before a time comes to the disk as soon as that time is over.

        Args:
            capture_uid: Who wants it.
            buffer_uid: Whose media.
            until: The last instant that is wanted.
        """
        if self._wishes.get(capture_uid) != (buffer_uid, until):
            self._wishes[capture_uid] = (buffer_uid, until)
            self._on_wish(buffer_uid)

    def drop(self, capture_uid: str) -> None:
        """Take a wish back: the media is there, or nobody wants it any more.

        Args:
            capture_uid: Who wanted it.
        """
        self._wishes.pop(capture_uid, None)

    def until(self, buffer_uid: str) -> datetime | None:
        """Give the latest instant that is wanted of a buffer, or None.

        Args:
            buffer_uid: Whose media.
        """
        wanted = (until for uid, until in self._wishes.values() if uid == buffer_uid)
        return max(wanted, default=None)

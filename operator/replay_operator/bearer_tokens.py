"""The bearer tokens that a server accepts, from a mounted Secret."""

from __future__ import annotations

import hmac
from pathlib import Path

TOKEN_FILES = ("token", "previous-token")
"""Both are accepted, so that server and clients need not change over at the same instant."""

_LIMIT_BYTES = 4096

_Stamp = tuple[int, int, int]


def bearer_token(authorization: str) -> str | None:
    """Give the token of an `Authorization` header, or None where it holds none.

    Args:
        authorization: The header's value.
    """
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class TokenFiles:
    """Reads the tokens again when their files change. It blocks: call it in a thread."""

    def __init__(self, directory: Path) -> None:
        """Take the directory where the Secret is mounted.

        Args:
            directory: It holds `token` and perhaps `previous-token`.
        """
        self._paths = tuple(directory / name for name in TOKEN_FILES)
        self._stamps: tuple[_Stamp | None, ...] | None = None
        self._tokens: tuple[bytes, ...] = ()

    def accepts(self, offered: str) -> bool:
        """Say whether a token is a good one, in a time that does not depend on how much of it is right.

        Args:
            offered: The token of a request.
        """
        sent = offered.encode()
        matches = [hmac.compare_digest(sent, token) for token in self._current()]
        return any(matches)

    def any_known(self) -> bool:
        """Say whether there is a token at all."""
        return bool(self._current())

    def _current(self) -> tuple[bytes, ...]:
        stamps = tuple(_stamp(path) for path in self._paths)
        if stamps != self._stamps:
            found = (_read(path) for path in self._paths)
            self._tokens = tuple(token for token in found if token)
            self._stamps = stamps
        return self._tokens


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT_BYTES).strip()
    except OSError:
        return b""

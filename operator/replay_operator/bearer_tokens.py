"""The bearer tokens that a server accepts, from a mounted Secret."""

from __future__ import annotations

import hmac
from pathlib import Path

from replay_operator.secret_files import SecretFiles

TOKEN_FILES = ("token", "previous-token")
"""Both are accepted, so that clients may go on with the old one until they are changed over.

One that comes with the new one before the server has it has to try the old one then, as `AgentClient` does.
"""


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
        self._tokens = SecretFiles(directory, TOKEN_FILES)

    def accepts(self, offered: str) -> bool:
        """Say whether a token is a good one, in a time that does not depend on how much of it is right.

        Args:
            offered: The token of a request.
        """
        # aiohttp gives the bytes of a header that are no UTF-8 as lone surrogates.
        sent = offered.encode(errors="surrogateescape")
        matches = [hmac.compare_digest(sent, token) for token in self._tokens.current()]
        return any(matches)

    def any_known(self) -> bool:
        """Say whether there is a token at all."""
        return bool(self._tokens.current())

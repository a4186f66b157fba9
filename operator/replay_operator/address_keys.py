"""The keys of addresses, from the mounted Secret."""

from __future__ import annotations

import logging
from pathlib import Path

from replay_operator.domain.signed_address import SigningKey, WeakKeyError
from replay_operator.secret_files import SecretFiles

KEY_FILES = ("preview-key", "previous-preview-key")
"""Both are accepted, and only the first one signs. Nobody can try an address twice.

So a new key is the second one first, until the agent has it: only then may the signer, whose mount may be the
earlier one, see it as the first. To sign with the old one while there is one would only move the fault to the
end, where the agent may be the first that has it no more.
"""

_logger = logging.getLogger(__name__)


class AddressKeys:
    """Reads the keys again when their files change. It blocks: call it in a thread."""

    def __init__(self, directory: Path, names: tuple[str, ...] = KEY_FILES) -> None:
        """Take the directory where the Secret is mounted.

        Args:
            directory: It holds `preview-key` and perhaps `previous-preview-key`.
            names: Those that count: a signer takes the first alone.
        """
        self._files = SecretFiles(directory, names)
        self._read: tuple[bytes, ...] = ()
        self._keys: tuple[SigningKey, ...] = ()

    def current(self) -> tuple[SigningKey, ...]:
        """Give the keys that are accepted now. One that could be guessed is not."""
        found = self._files.current()
        if found is not self._read:
            self._keys = tuple(key for secret in found if (key := _key(secret)) is not None)
            self._read = found
        return self._keys


def _key(secret: bytes) -> SigningKey | None:
    try:
        return SigningKey(secret)
    except WeakKeyError as error:
        _logger.error("the preview opens nothing with it: %s", error)  # noqa: TRY400 - a setting, no fault of the code
        return None

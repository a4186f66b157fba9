"""Addresses that let whoever holds them see one buffer or one clip, for a short time. Pure.

An address ends in `expires=<Unix seconds>&signature=<HMAC-SHA256>`. The signature is over the expiry and over
what may be seen, so that neither can be changed.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

MIN_KEY_BYTES = 32
"""As long as the digest (RFC 2104 §3): whoever holds an address can try keys at leisure."""

LONGEST_SECONDS = 4 * 3600
"""As far back as the longest window reaches. An address that claims more is none of ours."""

_PURPOSE = b"replay-operator/signed-address/1"
_EXPIRES = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)


class AddressRefusedError(Exception):
    """An address lets nobody in; the sentence says why, without any of it."""


class WeakKeyError(ValueError):
    """A key that could be guessed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an address lets its holder see.

    Attributes:
        kind: The playlist and the segments of one buffer, or one clip.
        subject: The buffer's uid, or the clip's path on the archive volume.
    """

    kind: Literal["buffer", "clip"]
    subject: str


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A secret key; its text never shows it."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_KEY_BYTES:
            raise WeakKeyError(
                f"a key for addresses has {len(self.secret)} bytes and needs {MIN_KEY_BYTES}: make one with "
                "`openssl rand -base64 48`"
            )

    def __repr__(self) -> str:
        return "SigningKey(...)"


def signed_query(key: SigningKey, scope: Scope, expires_at: datetime) -> str:
    """Give what has to follow the question mark of an address.

    Args:
        key: Signs it.
        scope: What it lets its holder see.
        expires_at: Until when, cut to the second.
    """
    expires = str(int(expires_at.timestamp()))
    return f"expires={expires}&signature={_signature(key, scope, expires)}"


def check_address(keys: Sequence[SigningKey], scope: Scope, query: Mapping[str, str], now: datetime) -> None:
    """Check the address of a request.

    Args:
        keys: Those that are accepted: two while one takes the place of the other.
        scope: What the request wants to see.
        query: Of the request.
        now: The time.

    Raises:
        AddressRefusedError: It is forged, belongs to something else, or has expired.
    """
    expires, signature = query.get("expires", ""), query.get("signature", "")
    sent = signature.encode(errors="surrogatepass")
    # Every key is tried: the time must not tell which one it was.
    matches = [hmac.compare_digest(sent, _signature(key, scope, expires).encode()) for key in keys]
    if not any(matches) or not _EXPIRES.fullmatch(expires):
        raise AddressRefusedError("this address does not open this: ask for a new one")
    left_seconds = int(expires) - now.timestamp()
    if left_seconds <= 0:
        raise AddressRefusedError("this address has expired: ask for a new one")
    if left_seconds > LONGEST_SECONDS:
        raise AddressRefusedError(f"this address claims to hold for more than {LONGEST_SECONDS} s")


def _signature(key: SigningKey, scope: Scope, expires: str) -> str:
    # The subject comes last and nothing before it can hold a line break, so that no two scopes read alike.
    head = b"\n".join((_PURPOSE, expires.encode(errors="surrogatepass"), scope.kind.encode()))
    message = head + b"\n" + scope.subject.encode(errors="surrogatepass")
    digest = hmac.digest(key.secret, message, "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()

"""Access tokens: who may call what."""

from collections.abc import Mapping
from dataclasses import dataclass

import jwt

from tests.livekit_double.server.twirp import TwirpError

# livekit-server accepts a clock that is off by a minute.
_LEEWAY_SECONDS = 60
_BEARER = "Bearer "


class TokenRefusedError(Exception):
    """The token itself is bad. livekit-server answers 401 with plain text, not with a Twirp error."""


@dataclass(frozen=True, slots=True)
class Grants:
    """The video grants of a token; empty without one."""

    video: Mapping[str, object]

    def require(self, grant: str) -> None:
        """Refuses a caller without a grant.

        Args:
            grant: `roomRecord`, `roomList` or `roomCreate`.

        Raises:
            TwirpError: 401. livekit-server wraps a missing permission as `unauthenticated`.
        """
        if self.video.get(grant) is not True:
            raise _permissions_denied()

    def require_admin(self, room: str) -> None:
        """Refuses a caller who is not an administrator of this room.

        Raises:
            TwirpError: 401, as for any missing grant.
        """
        self.require("roomAdmin")
        if self.video.get("room") != room:
            raise _permissions_denied()


def verify_token(authorization: str, keys: Mapping[str, str]) -> Grants:
    """Verifies an Authorization header.

    Args:
        authorization: the header; empty means a caller without grants.
        keys: secrets by API key.

    Raises:
        TokenRefusedError: if there is a token and it does not hold.
    """
    if not authorization:
        return Grants({})
    if not authorization.startswith(_BEARER):
        raise TokenRefusedError(f"invalid authorization header. Must start with {_BEARER}")
    token = authorization.removeprefix(_BEARER)
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss", "")
    except jwt.PyJWTError as error:
        raise TokenRefusedError("invalid authorization token") from error
    secret = keys.get(issuer)
    if secret is None:
        raise TokenRefusedError(f"invalid API key: {issuer}")
    try:
        claims = jwt.decode(
            token, secret, algorithms=["HS256"], leeway=_LEEWAY_SECONDS, options={"require": ["exp", "iss"]}
        )
    except jwt.PyJWTError as error:
        raise TokenRefusedError(f"invalid token, error: {error}") from error
    video = claims.get("video")
    return Grants(video if isinstance(video, dict) else {})


def _permissions_denied() -> TwirpError:
    return TwirpError("unauthenticated", "permissions denied")

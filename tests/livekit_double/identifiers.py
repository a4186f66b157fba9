"""Identifiers in LiveKit's form: a prefix and twelve letters and digits."""

import secrets

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_LENGTH = 12


def new_identifier(prefix: str) -> str:
    """Makes an identifier such as `EG_LqBnEZkKQvHP`.

    Args:
        prefix: what the identifier names: `EG_`, `RM_`, `PA_`, `TR_VC`, `TR_AM`, `EV_`, `NE_`.
    """
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))

"""Whether a build stands on base images that cannot move. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_DEFAULT = re.compile(r"^ARG (\w+_IMAGE)=(\S+)$", re.MULTILINE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def bases_of(dockerfile: str) -> dict[str, str]:
    """Give the arguments that name a base, with the image that each has by default.

    Args:
        dockerfile: Its text.
    """
    return dict(_DEFAULT.findall(dockerfile))


def complaints(defaults: Mapping[str, str], given: Mapping[str, str]) -> list[str]:
    """Say which bases are not pinned.

    Args:
        defaults: What `bases_of` gave.
        given: What this build was told to use instead, by argument.
    """
    wrong = []
    for argument, default in defaults.items():
        tested, _, _ = default.partition("@")
        image = given.get(argument) or default
        tag, _, digest = image.partition("@")
        if tag != tested:
            wrong.append(
                f"{argument} is {image}, the Dockerfile names {tested}: change it there, where it is tested"
            )
        elif not _DIGEST.fullmatch(digest):
            wrong.append(
                f"{argument} is {image}, which moves. Look up its digest with\n"
                f"  docker buildx imagetools inspect {tested} --format '{{{{.Manifest.Digest}}}}'\n"
                f"and write {tested}@sha256:... into operator/Dockerfile"
            )
    return wrong

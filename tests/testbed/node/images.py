"""What container images would contain, told by the test instead of a registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.testbed.node.errors import ContainerWaitingError


@dataclass(frozen=True)
class Image:
    """The part of an image's configuration that decides how its process starts.

    Attributes:
        entrypoint: ENTRYPOINT, replaced by a container's `command`.
        env: ENV. `PATH` is set to the usual directories when it is absent.
        uid: USER, the number before the colon.
        gid: USER, the number after the colon.
        directories: absolute paths that the image has and that belong to its user.
    """

    entrypoint: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    uid: int = 0
    gid: int = 0
    directories: tuple[str, ...] = ()


def repository_of(reference: str) -> str:
    """The repository of an image reference, without tag and digest."""
    without_digest = reference.partition("@")[0]
    head, slash, last = without_digest.rpartition("/")
    return head + slash + last.partition(":")[0]


def find_image(reference: str, images: Mapping[str, Image]) -> Image:
    """The image whose key is the reference's repository, or the longest tail of it.

    Args:
        reference: as written in the pod, for example `ghcr.io/acme/replay-operator:1.2`.
        images: keys without registry and tag, for example `livekit/egress`.

    Raises:
        ContainerWaitingError: no key fits, as if the registry did not have the image.
    """
    repository = repository_of(reference)
    fitting = [key for key in images if repository == key or repository.endswith("/" + key)]
    if not fitting:
        known = ", ".join(sorted(images)) or "none"
        message = f"image {reference} is not known to the node stand-in; add it to `images` (known: {known})"
        raise ContainerWaitingError("ErrImagePull", message)
    return images[max(fitting, key=len)]

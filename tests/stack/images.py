"""What the images of `manifests/base` contain when the node stand-in runs them."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.node import Image

CHECKOUT = Path(__file__).resolve().parents[2]
_PYTHON = str(Path(sys.executable).absolute())
_TESTS = {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def stack_images() -> Mapping[str, Image]:
    """Give the images: the operator is the real one from this checkout, LiveKit and its egress are doubles.

    Users are those of the real images: 65532:0 (operator/Dockerfile) and 1001:0 (LiveKit's egress).
    """
    double = (_PYTHON, "-m", "tests.livekit_double")
    return {
        "replay-operator": Image(
            entrypoint=(_PYTHON, "-m", "replay_operator"),
            env={"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            uid=65532,
            gid=0,
        ),
        "livekit/egress": Image(
            entrypoint=(*double, "worker"), env=_TESTS, uid=1001, gid=0, directories=("/home/egress",)
        ),
        "livekit/livekit-server": Image(entrypoint=(*double, "server"), env=_TESTS, uid=65532, gid=0),
    }

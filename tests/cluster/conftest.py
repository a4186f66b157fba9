"""The definitions on a real API server, and what that server says to an object."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.small_install import SmallInstall
from tests.livekit_double.fixtures import DoubleInProcess
from tests.testbed.children import Children
from tests.testbed.controlplane import ControlPlane, KubectlError

Manifest = dict[str, Any]

_DEFINITIONS = [
    str(Path(__file__).parents[2] / "crds" / name) for name in ("replaybuffers.yaml", "replaycaptures.yaml")
]
# Serving and explaining a new kind takes two seconds on an idle machine; on a busy one far longer.
_SERVED_TIMEOUT_SECONDS = 60.0


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> None:
    """Both kinds are established, served and explained."""
    control_plane.kubectl("apply", "--server-side", *(f"--filename={path}" for path in _DEFINITIONS))
    for plural in ("replaybuffers", "replaycaptures"):
        _until_it_works(control_plane, "get", f"{plural}.replaybuffer.dev", "--all-namespaces")
        _until_it_works(control_plane, "explain", f"{plural}.spec")


@pytest.fixture
def admitted(control_plane: ControlPlane, crds: None) -> Callable[..., Manifest]:
    """Gives an object as the API server would store it: defaulted and pruned. Nothing is kept."""

    def ask(manifest: Manifest, *flags: str, verb: str = "create") -> Manifest:
        answer = control_plane.kubectl(
            verb, "--dry-run=server", "--output=json", "--filename=-", *flags, input=json.dumps(manifest)
        )
        stored: Manifest = json.loads(answer)
        return stored

    return ask


@pytest.fixture
def refusal(admitted: Callable[..., Manifest]) -> Callable[..., str]:
    """Gives the words with which the API server refuses an object; fails if it takes it.

    Releases before 1.35 put the type of an invalid value before the sentence, that one the value or nothing.
    """

    def ask(manifest: Manifest, *flags: str, verb: str = "create") -> str:
        with pytest.raises(KubectlError) as refused:
            admitted(manifest, *flags, verb=verb)
        return re.sub(r"(Invalid value: )(?:\"[^\"]*\": )?", r"\1", refused.value.stderr)

    return ask


@pytest.fixture(scope="class")
def shared_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a namespace for the tests of one class, which leave nothing in it."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Processes that end with the test."""
    with Children(tmp_path / "processes") as started:
        yield started


@pytest.fixture
def install(
    control_plane: ControlPlane,
    namespace: str,
    livekit_double: DoubleInProcess,
    children: Children,
    tmp_path: Path,
) -> SmallInstall:
    """An operator and what it needs, whose processes a test may start, stop and kill."""
    return SmallInstall(control_plane, namespace, livekit_double, children, tmp_path)


def _until_it_works(control_plane: ControlPlane, *arguments: str) -> None:
    deadline = time.monotonic() + _SERVED_TIMEOUT_SECONDS
    while True:
        try:
            control_plane.kubectl(*arguments)
        except KubectlError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return

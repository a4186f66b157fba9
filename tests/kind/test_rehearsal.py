"""`make kind-up` and `make kind-demo` with all but Docker: real script, kubectl, helm, chart, control plane.

The node stand-in plays kind's nodes. LiveKit is its double, in which alice is there already; Redis and
LiveKit's command line are programs that do nothing. kubectl's `exec` speaks a newer protocol than the node
stand-in: that call reads the clip from the directory behind the archive volume.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
import yaml

from tests.helm.chart import ROOT
from tests.stack.images import stack_images
from tests.testbed.binaries import ControlPlaneBinaries, helm_binary
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import Image, NodeStandIn

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

# The double encodes on this machine, beside other tests: as small as it can.
TINY = {"advanced": {"width": 160, "height": 96, "framerate": 5, "videoKbps": 50, "audioKbps": 64}}
STUBS = {
    "docker": "",
    "kind": 'if [[ "$1 $2" = "get clusters" ]]; then echo replay; fi',
    "kubectl": """\
for last; do :; done
if [[ " $* " = *" exec "* ]]; then exec cat "$ARCHIVE/${last#/archive/}"; fi
exec "$KUBECTL" "$@"
""",
}


def images() -> dict[str, Image]:
    """The real operator; the double with alice in it; what only has to be there."""
    known = dict(stack_images())
    server = known["livekit/livekit-server"]
    python, *rest = server.entrypoint
    # The image's server listens on the pod's address by itself; the double is told.
    listen = f'exec {python} {" ".join(rest)} --bind "$HOSTNAME"'
    rooms = {"LIVEKIT_DOUBLE_ROOMS": json.dumps({"standup": {"alice": ["CAMERA"]}})}
    known["livekit/livekit-server"] = replace(
        server, entrypoint=("/bin/sh", "-c", listen), env={**server.env, **rooms}
    )
    redis = f'exec {sys.executable} -m http.server --bind "$HOSTNAME" 6379'
    known["redis"] = Image(entrypoint=("/bin/sh", "-c", redis))
    known["livekit/livekit-cli"] = Image(entrypoint=("/bin/sh", "-c", "exec sleep infinity"))
    return known


Bed = tuple[ControlPlane, NodeStandIn]


@pytest.fixture
def bed(control_plane_binaries: ControlPlaneBinaries, tmp_path: Path) -> Iterator[Bed]:
    with (
        ControlPlane(control_plane_binaries) as plane,
        NodeStandIn(plane.kubeconfig, tmp_path / "node", images()) as node,
    ):
        yield plane, node


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the script reads, with a smaller picture."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "manifests" / "kind", copy / "manifests" / "kind")
    for name in ("helm", "operator", "kind-config.yaml"):
        (copy / name).symlink_to(ROOT / name)
    buffer = copy / "manifests" / "kind" / "demo" / "replaybuffer.yaml"
    body = yaml.safe_load(buffer.read_text())
    body["spec"]["encoding"] = TINY
    buffer.write_text(yaml.safe_dump(body))
    return copy


@pytest.fixture
def environment(bed: Bed, control_plane_binaries: ControlPlaneBinaries, tmp_path: Path) -> dict[str, str]:
    """A kubeconfig with kind's context, and a PATH with the test bed's programs first."""
    config = yaml.safe_load(bed[0].kubeconfig.read_text())
    config["contexts"][0]["name"] = "kind-replay"
    del config["current-context"]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in STUBS.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    (programs / "helm").symlink_to(helm_binary())
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(kubeconfig),
        "KUBECTL": str(control_plane_binaries.kubectl),
    }


def test_the_script_brings_everything_up_and_saves_a_clip(
    bed: Bed, checkout: Path, environment: dict[str, str]
) -> None:
    plane, node = bed

    def run(command: str) -> None:
        done = subprocess.run(
            [checkout / "manifests" / "kind" / "kind.sh", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            state = plane.kubectl("get", "pods,pvc,rb,rcap,events", "-A", "-o", "wide")
            pytest.fail(f"kind.sh {command}:\n{done.stdout}\n{state}")

    run("up")
    environment["ARCHIVE"] = str(node.volume_path("replay", "replay-archive"))
    run("demo")
    (clip,) = (checkout / ".demo").glob("alice-camera-*.mp4")
    with av.open(str(clip)) as container:
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(10, abs=1)

    secrets = [*("-n", "replay", "get", "secrets"), "replay-operator-livekit", "replay-operator-agent"]
    before = plane.kubectl(*secrets, "-o", "jsonpath={.items[*].data}")
    run("up")
    assert plane.kubectl(*secrets, "-o", "jsonpath={.items[*].data}") == before, "done again, nothing changes"

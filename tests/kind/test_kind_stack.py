"""What `make kind-e2e` reads from the cluster, beside a kubectl that answers as the cluster would."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.real.kind import Kind, KindStack, kind_door
from tests.testbed.controlplane import KubectlError

SECRET = {
    "api-key": base64.b64encode(b"kind").decode(),
    "api-secret": base64.b64encode(b"s3cret").decode(),
}
KUBECTL = f"""#!/bin/bash
case "$*" in
  "--context kind-replay -n replay exec deployment/replay-agent -- ls /buffer/b/run-1")
    printf 'index.m3u8\\nseg_00001.ts\\nseg_00000.ts\\n' ;;
  "--context kind-replay -n replay exec deployment/replay-agent -- cat "*) printf '\\0of %s' "${{@: -1}}" ;;
  "--context kind-replay -n livekit get pods "*)
    echo '{{"items": [{{"status": {{"podIP": "10.244.0.7"}}}}]}}' ;;
  "--context kind-replay -n replay get secret replay-operator-livekit "*)
    echo '{json.dumps({"data": SECRET})}' ;;
  *) echo "unexpected: $*" >&2; exit 3 ;;
esac
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KindStack:
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", str(kubectl.parent), prepend=":")
    copies = tmp_path / "copies"
    copies.mkdir()
    return KindStack(Kind("kind-replay"), copies)


def test_the_segments_of_a_run_are_copied_out_of_the_agents_pod_in_order(stack: KindStack) -> None:
    segments = stack.segments("b/run-1")
    assert [each.read_bytes() for each in segments] == [
        b"\0of /buffer/b/run-1/seg_00000.ts",
        b"\0of /buffer/b/run-1/seg_00001.ts",
    ]


def test_a_clip_is_copied_as_it_is(stack: KindStack) -> None:
    assert stack.clip_file("shared/clip.mp4").read_bytes() == b"\0of /archive/shared/clip.mp4"


def test_people_join_livekit_at_the_address_of_its_pod_with_the_key_of_the_cluster(stack: KindStack) -> None:
    door = kind_door(stack)
    assert (door.url, door.api_key, door.api_secret) == ("http://10.244.0.7:7880", "kind", "s3cret")


def test_a_kubectl_that_fails_is_told_with_what_it_said(stack: KindStack) -> None:
    with pytest.raises(KubectlError, match="unexpected"):
        stack.kubectl("get", "nothing")

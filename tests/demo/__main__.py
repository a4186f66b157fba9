"""Records a buffer and saves a clip on the test bed, and says at each step what is happening."""

import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.stack.images import CHECKOUT, stack_images
from tests.stack.stack import Stack
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

NAMESPACE = "demo"
WINDOW_SECONDS = 30
SAMPLES = CHECKOUT / "manifests" / "samples"
RESULTS = CHECKOUT / ".demo"
BUFFER, CAPTURE = "alice-screen", "alice-screen-last-20s"


def main() -> int:
    """Run the demo; Ctrl-C ends it and everything that it started."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        _demo()
    except KeyboardInterrupt:
        _say("interrupted: everything that was started has been ended")
        return 130
    return 0


def _demo() -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="replay-demo-") as directory:
        _say("bringing up etcd, kube-apiserver, kube-controller-manager and kube-scheduler")
        with ControlPlane() as plane:
            _say(f"control plane is up after {time.monotonic() - begun:.1f} s; starting the node stand-in")
            with NodeStandIn(plane.kubeconfig, Path(directory), stack_images()) as node:
                stack = Stack(plane, node, NAMESPACE)
                _install(stack)
                _record(stack)
                _save(stack)
    _say(f"done after {time.monotonic() - begun:.0f} s; nothing is left running")


def _install(stack: Stack) -> None:
    _say("applying manifests/base: definitions, operator, agent, egress fleet, autoscaler")
    stack.install()
    for name in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
        _say(f"waiting for Deployment {name}")
        stack.wait_until_available(name)


def _record(stack: Stack) -> None:
    _say("applying manifests/samples/replaybuffer.yaml: keep the last ten minutes of alice's screen")
    stack.apply_file(SAMPLES / "replaybuffer.yaml")
    table = _Table(stack)

    def filled() -> bool:
        table.show()
        runs = [run for buffer in stack.coverage().buffers for run in buffer.runs]
        if not runs:
            return False
        window = max(r.newest for r in runs) - min(r.oldest for r in runs)
        table.note(f"the window on disk holds {window.total_seconds():.0f} s")
        return window.total_seconds() >= WINDOW_SECONDS

    stack.wait_for(f"a window of {WINDOW_SECONDS} s", filled, seconds=180)


def _save(stack: Stack) -> None:
    _say("applying manifests/samples/replaycapture.yaml: save the last 20 seconds")
    asked = time.monotonic()
    stack.apply_file(SAMPLES / "replaycapture.yaml")
    table = _Table(stack)

    def ended() -> bool:
        table.show()
        found = [stack.condition("rcap", CAPTURE, type_) for type_ in ("Ready", "Stalled")]
        return any(c is not None and c["status"] == "True" for c in found)

    stack.wait_for("an end of the capture", ended, seconds=120)
    took = time.monotonic() - asked
    capture = stack.get("rcap", CAPTURE) or {}
    clip = capture["status"].get("clip")
    if clip is None:
        raise SystemExit(f"the capture failed:\n{json.dumps(capture['status'], indent=2)}")
    clip = stack.wait_for("digest and picture", lambda: _with_extras(stack), seconds=60)
    _say("events of the capture:")
    stack_events = stack.kubectl(
        "get",
        "events",
        "--field-selector",
        f"involvedObject.name={CAPTURE}",
        "--sort-by=.metadata.creationTimestamp",
    )
    print(stack_events)
    _show_clip(stack, clip, took)


def _with_extras(stack: Stack) -> dict[str, object] | None:
    """Give the clip once its Job has added what comes after Ready."""
    clip: dict[str, object] = (stack.get("rcap", CAPTURE) or {})["status"]["clip"]
    return clip if "sha256" in clip else None


def _show_clip(stack: Stack, clip: dict[str, object], took: float) -> None:
    RESULTS.mkdir(exist_ok=True)
    kept = {}
    for key in ("path", "thumbnail"):
        if clip.get(key):
            source = stack.archive() / str(clip[key])
            kept[key] = RESULTS / source.name
            shutil.copyfile(source, kept[key])
    _say(f"the clip was ready {took:.1f} s after it was asked for")
    milliseconds = int(str(clip["milliseconds"]))
    print(f"  MP4       {kept['path']}")
    print(f"  duration  {milliseconds / 1000:.3f} s, from {clip['start']} to {clip['end']}")
    print(f"  size      {clip['bytes']} bytes, {clip['segments']} segments, {clip['runs']} run")
    print(f"  sha256    {clip.get('sha256')}")
    print(f"  picture   {kept.get('thumbnail')}")


class _Table:
    """`kubectl get rb,rcap`, printed whenever it says something new."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._shown = ""
        self._noted = ""

    def show(self) -> None:
        table = self._stack.kubectl("get", "rb,rcap")
        told = "\n".join(
            line.rsplit(None, 1)[0] for line in table.splitlines() if line.strip()
        )  # without AGE
        if told != self._shown:
            self._shown = told
            print(table)

    def note(self, text: str) -> None:
        if text != self._noted:
            self._noted = text
            _say(text)


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

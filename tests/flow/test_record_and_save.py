"""The main job from end to end: a buffer records, a capture saves, the clip is what was asked for."""

from __future__ import annotations

import subprocess
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from tests.flow.conftest import BufferFactory, capture_object
from tests.livekit_double.marks import read_frame_mark
from tests.media.clip_reader import box_order, packets
from tests.stack.stack import Stack

FRAME = 1 / 15
REORDERING = 4 * FRAME
"""The end is cut where no kept frame needs a dropped one: up to the depth of B-frames later."""
AAC_FRAME = 1024 / 44100


@pytest.fixture
def recording(stack: Stack, new_buffer: BufferFactory) -> str:
    name = new_buffer()
    stack.wait_for_condition("rb", name, "Recording", seconds=60)
    return name


def wait_for_window(stack: Stack, buffer: str, seconds: float) -> None:
    path = (stack.get("rb", buffer) or {})["status"]["storage"]["path"]

    def long_enough() -> bool:
        runs = [r for b in stack.coverage().buffers if b.path == path for r in b.runs]
        window = max(r.newest for r in runs) - min(r.oldest for r in runs) if runs else None
        return window is not None and window.total_seconds() >= seconds

    stack.wait_for(f"a window of {seconds} s", long_enough, seconds=60)


def wait_for_extras(stack: Stack, capture: str) -> dict[str, Any]:
    """Digest and picture come after the clip is ready."""

    def look() -> dict[str, Any] | None:
        clip: dict[str, Any] = (stack.get("rcap", capture) or {})["status"]["clip"]
        return clip if "sha256" in clip else None

    return stack.wait_for(f"the extras of {capture}", look, seconds=60)


def shown_wall_clock(clip: Path) -> list[int]:
    """Capture time in ms, as burnt into each picture that a player shows."""
    with av.open(str(clip)) as container:
        marks = [read_frame_mark(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    return [mark.captured_at_ms for mark in marks if mark is not None]


def shown_numbers(clip: Path) -> list[int]:
    with av.open(str(clip)) as container:
        marks = [read_frame_mark(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    return [mark.frame_number for mark in marks if mark is not None]


def test_a_recorded_moment_becomes_a_whole_clip(stack: Stack, recording: str) -> None:
    wait_for_window(stack, recording, 9)
    stack.apply(capture_object("moment", recording))
    capture = stack.wait_for_condition("rcap", "moment", "Ready", seconds=60)
    status = capture["status"]
    clip = stack.archive() / status["clip"]["path"]

    asked = {key: datetime.fromisoformat(status["range"][key]) for key in ("start", "end")}
    wanted = (asked["end"] - asked["start"]).total_seconds()
    shown = status["clip"]["milliseconds"] / 1000
    assert wanted - FRAME <= shown <= wanted + REORDERING + FRAME
    duration = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(clip)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert float(duration) == pytest.approx(shown, abs=FRAME), "the file is what the plan said"

    numbers = shown_numbers(clip)
    assert [b - a for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1), "a frame is missing or doubled"
    first, last = shown_wall_clock(clip)[0] / 1000, shown_wall_clock(clip)[-1] / 1000
    assert 0 <= first - asked["start"].timestamp() <= FRAME + 0.05
    assert -FRAME - 0.05 <= last - asked["end"].timestamp() <= REORDERING + 0.05

    for kind, step in (("video", FRAME), ("audio", AAC_FRAME)):
        steps = packets(clip, kind).steps()
        assert max(steps) < 1.5 * step, f"a hole of {max(steps):.3f} s in the {kind}"
    boxes = box_order(clip)
    assert boxes.index("moov") < boxes.index("mdat")
    assert status["clip"]["holes"] == []
    extras = wait_for_extras(stack, "moment")
    assert len(extras["sha256"]) == 64
    assert (stack.archive() / extras["thumbnail"]).stat().st_size > 0


def test_the_job_belongs_to_its_capture_and_goes_with_it(stack: Stack, recording: str) -> None:
    wait_for_window(stack, recording, 5)
    stack.apply(capture_object("owned", recording))
    capture = stack.wait_for_condition("rcap", "owned", "Ready", seconds=60)
    job = stack.get("job", capture["status"]["job"]["name"]) or {}
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("ReplayCapture", capture["metadata"]["uid"])
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert (
        next(v for v in pod["volumes"] if v["name"] == "buffer")["persistentVolumeClaim"]["readOnly"] is True
    )
    clip = stack.archive() / capture["status"]["clip"]["path"]
    stack.kubectl("delete", "rcap", "owned")
    stack.wait_for(
        "the end of the Job", lambda: stack.get("job", job["metadata"]["name"]) is None, seconds=30
    )
    assert clip.exists(), "deletionPolicy Retain keeps the clip"


def test_each_step_of_a_capture_is_told_by_an_event(stack: Stack, recording: str) -> None:
    wait_for_window(stack, recording, 5)
    stack.apply(capture_object("told", recording))
    stack.wait_for_condition("rcap", "told", "Ready", seconds=60)
    events = [e for e in stack.list_all("events") if e["involvedObject"]["name"] == "told"]
    reasons = [e["reason"] for e in events]
    assert {"WaitingForPin", "Cutting", "ClipReady"} <= set(reasons)
    assert len(reasons) == len(set(reasons)), "no step is told twice"


def test_a_range_without_media_is_refused_with_a_reason(stack: Stack, recording: str) -> None:
    past = {"between": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}}
    stack.apply(capture_object("nothing", recording, range=past))
    capture = stack.wait_for_condition("rcap", "nothing", "Stalled", seconds=60)
    stalled = next(c for c in capture["status"]["conditions"] if c["type"] == "Stalled")
    assert stalled["reason"] == "NoMedia"
    assert "clip" not in capture["status"]


def test_the_autoscaler_has_the_fleet_ready(stack: Stack, recording: str) -> None:
    autoscaler = stack.get("hpa", "livekit-egress") or {}
    assert autoscaler["spec"]["minReplicas"] == 2
    stack.wait_for("two workers", lambda: len(stack.running_pods("livekit-egress")) >= 2, seconds=60)
    assert recording

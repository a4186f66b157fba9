"""Captures from their promise to their end: expected time, queue, cancel, clip and object that go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.flow.conftest import SEGMENT_SECONDS, BufferFactory, capture_object
from tests.flow.receiver import NewsReceiver
from tests.flow.test_record_and_save import wait_for_extras, wait_for_window
from tests.stack.stack import Stack

PLACES = 3


@pytest.fixture
def recording(stack: Stack, new_buffer: BufferFactory) -> str:
    name = new_buffer()
    stack.wait_for_condition("rb", name, "Recording", seconds=60)
    wait_for_window(stack, name, 9)
    return name


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def names_beside(stack: Stack, clip: str) -> list[str]:
    path = stack.archive() / clip
    return sorted(p.name for p in path.parent.glob(f"*{path.stem}*")) if path.parent.exists() else []


def jobs_of(stack: Stack, capture: dict[str, Any]) -> list[dict[str, Any]]:
    return stack.list_all("jobs", labels=f"replaybuffer.dev/capture-uid={capture['metadata']['uid']}")


def ended_job_of(stack: Stack, capture: dict[str, Any]) -> dict[str, Any]:
    """A clip is ready before its Job has ended."""

    def look() -> dict[str, Any] | None:
        (job,) = jobs_of(stack, capture)
        return job if "completionTime" in job.get("status", {}) else None

    return stack.wait_for(f"the end of the Job of {capture['metadata']['name']}", look, seconds=60)


def between(start: datetime, end: datetime) -> dict[str, Any]:
    return {"between": {"start": start.isoformat(), "end": end.isoformat()}}


def test_a_time_is_promised_at_once_and_the_pod_starts_while_the_tail_is_on_its_way(
    stack: Stack, recording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.apply(capture_object("promised", recording))
    capture = stack.wait_for(
        "the resolved range",
        lambda: (found := stack.get("rcap", "promised")) and "range" in found.get("status", {}) and found,
        seconds=60,
    )
    status = capture["status"]
    end, promised = instant(status["range"]["end"]), instant(status["expectedReadyTime"])
    assert promised >= end + timedelta(seconds=SEGMENT_SECONDS), "not before the segment can be there"
    ready = stack.wait_for_condition("rcap", "promised", "Ready", seconds=60)
    assert ready["status"]["expectedReadyTime"] == status["expectedReadyTime"], "it is not corrected later"
    (job,) = jobs_of(stack, ready)
    condition = next(c for c in ready["status"]["conditions"] if c["type"] == "Ready")
    was_ready = instant(condition["lastTransitionTime"])
    with capsys.disabled():
        asked = instant(ready["metadata"]["creationTimestamp"])
        print(
            f"\nready {(was_ready - asked).total_seconds():.1f} s after it was asked for, "
            f"{(was_ready - promised).total_seconds():+.1f} s against the promise; Job made "
            f"{(instant(job['metadata']['creationTimestamp']) - asked).total_seconds():.0f} s, "
            f"range ended {(end - asked).total_seconds():.1f} s after it was asked for"
        )


def test_a_capture_that_is_deleted_takes_its_job_along_and_leaves_nothing_unfinished(
    stack: Stack, recording: str
) -> None:
    now = datetime.now(UTC)
    wanted = between(now - timedelta(seconds=5), now + timedelta(seconds=8))
    stack.apply(capture_object("cancelled", recording, range=wanted))
    capture = stack.wait_for(
        "a Job that waits for the tail",
        lambda: (found := stack.get("rcap", "cancelled")) and "job" in found.get("status", {}) and found,
        seconds=60,
    )
    (job,) = jobs_of(stack, capture)
    stack.kubectl("delete", "rcap", "cancelled")
    stack.wait_for("the end of the Job", lambda: not jobs_of(stack, capture), seconds=60)
    labels = f"batch.kubernetes.io/job-name={job['metadata']['name']}"
    stack.wait_for("the end of its pod", lambda: not stack.list_all("pods", labels=labels), seconds=60)
    # On a slow machine the clip may be whole before the pod is told to end; Retain keeps it then.
    left = {p.suffix for p in stack.archive().rglob(f"*{capture['metadata']['uid'][:8]}*")}
    assert left in (set(), {".mp4", ".json"}, {".mp4", ".json", ".jpg"})


def test_a_clip_goes_with_its_capture_if_that_was_asked_for(stack: Stack, recording: str) -> None:
    stack.apply(capture_object("forgotten", recording, deletionPolicy="Delete"))
    capture = stack.wait_for_condition("rcap", "forgotten", "Ready", seconds=60)
    assert capture["metadata"]["finalizers"] == ["replaybuffer.dev/clip"]
    clip = capture["status"]["clip"]["path"]
    wait_for_extras(stack, "forgotten")
    assert len(names_beside(stack, clip)) == 3, "clip, sidecar, picture"
    stack.wait_for(
        "the Job's time to live",
        lambda: [job["spec"].get("ttlSecondsAfterFinished") for job in jobs_of(stack, capture)] == [3600],
        seconds=60,
    )
    stack.kubectl("delete", "rcap", "forgotten", "--wait=false")
    stack.wait_for("the end of the capture", lambda: stack.get("rcap", "forgotten") is None, seconds=60)
    assert names_beside(stack, clip) == []
    events = [e for e in stack.list_all("events") if e["reason"] == "ClipLeftBehind"]
    assert events == []


def test_an_object_expires_and_its_clip_stays(stack: Stack, recording: str) -> None:
    stack.apply(capture_object("expiring", recording, ttlSecondsAfterFinished=3))
    capture = stack.wait_for_condition("rcap", "expiring", "Ready", seconds=60)
    stack.wait_for("the end of the capture", lambda: stack.get("rcap", "expiring") is None, seconds=60)
    assert (stack.archive() / capture["status"]["clip"]["path"]).exists()


def test_captures_that_are_asked_for_at_once_are_cut_a_few_at_a_time(stack: Stack, recording: str) -> None:
    now = datetime.now(UTC)
    names = [f"crowd-{n}" for n in range(6)]
    wanted = between(now - timedelta(seconds=8), now - timedelta(seconds=6))
    stack.apply(*(capture_object(name, recording, range=wanted, tail="Skip") for name in names))
    captures = [stack.wait_for_condition("rcap", name, "Ready", seconds=150) for name in names]
    spans = []
    for capture in captures:
        job = ended_job_of(stack, capture)
        spans.append(
            (instant(job["metadata"]["creationTimestamp"]), instant(job["status"]["completionTime"]))
        )
    at_once = [sum(begin <= start < end for begin, end in spans) for start, _ in spans]
    assert max(at_once) <= PLACES
    queued = {e["involvedObject"]["name"] for e in stack.list_all("events") if e["reason"] == "Queued"}
    assert queued & set(names)


def test_outcomes_are_told_with_a_signature_and_again_when_they_were_not_taken(
    stack: Stack, recording: str, news: NewsReceiver
) -> None:
    past = {"between": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}}
    stack.apply(capture_object("told-ready", recording), capture_object("told-failed", recording, range=past))
    ready = stack.wait_for_condition("rcap", "told-ready", "Ready", seconds=60)
    failed = stack.wait_for_condition("rcap", "told-failed", "Stalled", seconds=60)
    keys = (f"{ready['metadata']['uid']}.ready", f"{failed['metadata']['uid']}.failed")
    stack.wait_for("the news of both", lambda: all(key in news.news for key in keys), seconds=60)
    assert set(keys) <= news.refused, "the first try was refused"
    assert news.news[keys[0]]["data"]["clip"]["path"] == ready["status"]["clip"]["path"]
    assert news.news[keys[1]]["data"]["reason"] == "NoMedia"
    for name in ("told-ready", "told-failed"):
        stack.wait_for(
            "the note in the status",
            lambda name=name: (
                (stack.get("rcap", name) or {})["status"]["notification"]["state"] == "Delivered"
            ),
            seconds=60,
        )


def test_an_object_that_gitops_tracks_outlives_its_time_and_says_so(stack: Stack, recording: str) -> None:
    body = capture_object("tracked", recording, ttlSecondsAfterFinished=1)
    mark = "argocd.argoproj.io/tracking-id"
    body["metadata"]["annotations"] = {mark: "team:replaybuffer.dev/ReplayCapture:flow/tracked"}
    stack.apply(body)
    held = stack.wait_for_condition("rcap", "tracked", "TTLExpired", seconds=60)
    conditions = {c["type"]: c for c in held["status"]["conditions"]}
    assert (conditions["TTLExpired"]["reason"], mark in conditions["TTLExpired"]["message"]) == (
        "TTLHeld",
        True,
    )
    assert conditions["Ready"]["status"] == "True"
    # Taken out of the tool's hands, it goes.
    stack.kubectl("annotate", "rcap", "tracked", f"{mark}-")
    stack.wait_for("the end of the capture", lambda: stack.get("rcap", "tracked") is None, seconds=60)

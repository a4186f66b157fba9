"""Rows of the status matrix that workers, their handlers and the server bring about."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.flow.matrix_stage import Stage, Status, Subject, first_second, holes, message_of

FLEET = "livekit-egress"
CONTAINER = "egress"


def handler_is_killed(stage: Stage) -> None:
    subject = stage.recording("killed-handler")
    before = _recorded_again(
        subject, lambda id_: stage.admin.post(f"egress/{id_}/kill", {}), told="EgressFailed"
    )
    assert subject.record(before)["error"] == "signal: killed"


def cpu_is_exhausted(stage: Stage) -> None:
    subject = stage.recording("short-of-cpu")
    before = _recorded_again(
        subject, lambda id_: stage.admin.post(f"egress/{id_}/end", {}), told="CPUExhausted"
    )
    record = subject.record(before)
    assert (record["status"], record["details"]) == ("EGRESS_COMPLETE", "End reason: CPU exhausted")


def worker_is_starved(stage: Stage) -> None:
    """To be played alone: whatever else its worker holds moves too."""
    subject = stage.recording("starved")
    before, mark = subject.status, subject.count()
    stage.admin.post(f"egress/{before['egress']['id']}/starve", {"starved": True})
    after = subject.wait_for_another_run(before["egress"]["id"], seconds=120)
    assert subject.reasons(mark) == ["Recording"], "files show nothing, so the status says nothing"
    assert holes(subject.wait_for_coverage_of(first_second(after))) == []


def handler_cannot_be_launched(stage: Stage) -> None:
    stage.open_room("no-launch")
    fault = {"kind": "no_launch", "method": "StartTrackCompositeEgress", "room": "no-launch"}
    stage.admin.post("faults", fault)
    subject = stage.buffer("no-launch")
    failed = subject.wait_for("EgressFailed")
    assert subject.records()[0]["error"] in message_of(failed)
    subject.wait_for("Recording")
    assert [e["status"] for e in subject.records()] == ["EGRESS_FAILED", "EGRESS_ACTIVE"]


def clock_of_a_run_jumps(stage: Stage) -> None:
    subject = stage.recording("clock")
    before = subject.status
    # What is usual is learnt from the first segments.
    stage.wait_for("clock: five segments", lambda: subject.runs()[-1].last_index >= 4)
    stage.admin.post(f"egress/{subject.egress_id}/clock", {"jump_seconds": 1.5})
    after = subject.wait_for_another_run(before["egress"]["id"])
    assert holes(subject.wait_for_coverage_of(first_second(after))) == []


def no_worker_runs(stage: Stage) -> None:
    """To be played first: a worker that records would drain and stay."""
    stage.stack.kubectl("scale", "deployment", FLEET, "--replicas=0")
    stage.wait_for("no worker", lambda: not stage.admin.get("workers"))
    stage.open_room("no-worker")
    subject = stage.buffer("no-worker")
    waiting = subject.wait_for("WaitingForCapacity")
    reconciling = next(c for c in waiting["conditions"] if c["type"] == "Reconciling")
    assert reconciling["status"] == "True"
    assert subject.records() == [], "a refused start leaves no record"
    stage.stack.kubectl("scale", "deployment", FLEET, "--replicas=2")
    subject.wait_for("Recording")
    assert subject.reasons()[-3:] == ["WaitingForCapacity", "Starting", "Recording"]


def all_workers_are_full(stage: Stage) -> None:
    stage.wait_for("two workers", lambda: len(stage.admin.get("workers")) == 2)
    workers = stage.admin.get("workers")
    for worker in workers:
        stage.admin.post(f"workers/{worker['worker_id']}/capacity", {"capacity": 0})
    stage.open_room("full")
    subject = stage.buffer("full")
    subject.wait_for("WaitingForCapacity")
    for worker in workers:
        stage.admin.post(f"workers/{worker['worker_id']}/capacity", {"capacity": worker["capacity"]})
    subject.wait_for("Recording")
    assert subject.reasons()[-3:] == ["WaitingForCapacity", "Starting", "Recording"]


def worker_is_killed(stage: Stage) -> None:
    subject = stage.recording("killed-worker")
    before = _recorded_again(
        subject, lambda id_: _signal(stage, id_, signal.SIGKILL), told="WorkerLost or RunSilent"
    )
    assert subject.record(before)["status"] == "EGRESS_ACTIVE", "LiveKit never hears of it"


def worker_is_interrupted(stage: Stage) -> None:
    subject = stage.recording("interrupted-worker")
    before = _recorded_again(
        subject, lambda id_: _signal(stage, id_, signal.SIGINT), told="EgressFailed or WorkerLost"
    )
    record = subject.record(before)
    assert (record["status"], record["error_code"]) == ("EGRESS_FAILED", 403)


def handler_fails_and_its_worker_leaves(stage: Stage) -> None:
    subject = stage.recording("failing-handler")
    pod = _pod_of(stage, subject.egress_id)
    pid = stage.stack.node.pid(stage.stack.namespace, pod, CONTAINER)
    failure = {"error": "pipeline frozen", "error_code": 500}
    before = _recorded_again(
        subject, lambda id_: stage.admin.post(f"egress/{id_}/fail", failure), told="EgressFailed"
    )
    assert subject.record(before)["error_code"] == 500
    stage.wait_for(f"the end of {pod}'s worker", lambda: _pid(stage, pod) not in (pid, None))


def worker_pod_is_deleted(stage: Stage) -> None:
    subject = stage.recording("deleted-pod")
    before, mark = subject.status, subject.count()
    pod = _pod_of(stage, before["egress"]["id"])
    stage.stack.kubectl("delete", "pod", pod, "--wait=false")
    after = subject.wait_for_another_run(before["egress"]["id"])
    assert subject.reasons(mark) == ["Recording"], "a user notices nothing"
    runs = subject.wait_for_coverage_of(first_second(after))
    assert holes(runs) == []
    stage.wait_for("the pod's end", lambda: stage.stack.get("pod", pod) is None)
    assert subject.running() == [subject.egress_id]


def server_restarts(stage: Stage) -> None:
    """To be played last: every room closes."""
    subject = stage.recording("restarted-server")
    before, tracks = subject.status, subject.status["tracks"]
    stage.admin.post("restart", {"away_seconds": 6})
    after = subject.wait_for_another_run(before["egress"]["id"])
    assert subject.record(before["egress"]["id"])["details"] == "End reason: Source closed"
    assert after["tracks"].keys() == tracks.keys()
    assert not set(after["tracks"].values()) & set(tracks.values())
    runs = subject.wait_for_coverage_of(first_second(after))
    assert any(run.oldest <= first_second(before) <= run.newest for run in runs)


def _recorded_again(subject: Subject, happens: Callable[[str], object], *, told: str) -> str:
    """Lets something end an egress; the buffer says so, records again, and keeps what it had.

    Returns:
        The egress that was ended.
    """
    before, mark = subject.status, subject.count()
    ended = str(before["egress"]["id"])
    happens(ended)
    after = subject.wait_for_another_run(ended)
    reasons = subject.reasons(mark)
    assert (reasons[0], reasons[-1]) == ("Recording", "Recording")
    assert set(told.split(" or ")) & set(reasons), f"nobody is told why something is missing: {reasons}"
    runs = subject.wait_for_coverage_of(first_second(after))
    _keeps(runs_before=before, after=after, subject=subject)
    assert len(holes(runs)) <= 1
    return ended


def _keeps(*, runs_before: Status, after: Status, subject: Subject) -> None:
    runs = {run.run: run for run in subject.runs()}
    old, new = runs[runs_before["egress"]["run"]], runs[after["egress"]["run"]]
    assert old.oldest <= first_second(runs_before) <= old.newest
    assert new.oldest > old.oldest


def _pod_of(stage: Stage, egress_id: str) -> str:
    workers = stage.admin.get("workers")
    return next(str(worker["pod"]) for worker in workers if egress_id in worker["egresses"])


def _signal(stage: Stage, egress_id: str, number: signal.Signals) -> None:
    stage.stack.node.kill_container(
        stage.stack.namespace, _pod_of(stage, egress_id), CONTAINER, signal=number
    )


def _pid(stage: Stage, pod: str) -> int | None:
    try:
        return stage.stack.node.pid(stage.stack.namespace, pod, CONTAINER)
    except LookupError:
        return None

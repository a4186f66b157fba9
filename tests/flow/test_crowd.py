"""Forty-five captures of five buffers at once, while retention deletes right behind what they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from replay_operator.domain.capacity import DEFAULT_SLACK_SECONDS
from replay_operator.domain.layout import RunPath, run_name, segment_name
from tests.flow.conftest import SEGMENT_SECONDS, BufferFactory, capture_object
from tests.flow.test_capture_life import PLACES, between, instant
from tests.media.repeated_run import SHAPE, make_long_run
from tests.stack.finished_run import BUFFER_CLAIM, FinishedRun, lay_run
from tests.stack.stack import Stack
from tests.testbed.audit import audit_log_size, audit_records

OWNERS = 5
CAPTURES_EACH = 9
WINDOW_SECONDS = 30
"""The least that the schema allows."""

KEPT = timedelta(seconds=WINDOW_SECONDS + DEFAULT_SLACK_SECONDS)
"""How old a segment must be to go."""

MARGIN = timedelta(seconds=20)
"""How long after the click the first of the wanted segments would go if nobody held it: more than it takes to
hold them on a slow machine, and less than it takes to cut all clips (half a second each on a fast one)."""

SEGMENTS = 55
WANTED = timedelta(seconds=4)
FRAME = timedelta(seconds=1 / SHAPE.frames_per_second)
REORDERING = 5 * FRAME
"""The end is cut where no kept frame needs a dropped one: up to the depth of B-frames later."""

HELD = frozenset({"Queued", "Cutting"})
"""States of a capture that the agent has acknowledged."""


@dataclass(frozen=True)
class Person:
    """An owner with the buffer, and its older run."""

    name: str
    buffer: str
    run: FinishedRun
    directory: Path

    def segments(self, start: datetime, end: datetime) -> list[Path]:
        """The files that hold a range."""
        length = timedelta(seconds=self.run.segment_seconds)
        first, last = (start - self.run.began_at) // length, (end - self.run.began_at) // length
        return [self.directory / segment_name(index) for index in range(first, last + 1)]


@dataclass
class Watch:
    """Looks at the crowd again and again."""

    stack: Stack
    people: dict[str, Person]
    most_jobs: int = 0
    gone_while_waiting: set[Path] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def all_finished(self) -> bool:
        captures = [c for c in self.stack.list_all("rcap") if c["spec"]["bufferRef"]["name"] in self.people]
        waiting = [c for c in captures if not is_finished(c)]
        for capture in waiting:
            self._look_at(capture)
        names = {c["metadata"]["name"] for c in captures}
        running = [j for j in self.stack.list_all("jobs") if owner_name(j) in names and not has_ended(j)]
        self.most_jobs = max(self.most_jobs, len(running))
        if waiting:
            for person in self.people.values():
                everything = person.segments(person.run.began_at, person.run.ended_at)[:-1]
                self.gone_while_waiting |= {file for file in everything if not file.exists()}
        return len(captures) == OWNERS * CAPTURES_EACH and not waiting

    def _look_at(self, capture: dict[str, Any]) -> None:
        conditions = capture.get("status", {}).get("conditions", [])
        if not any(c["type"] == "Ready" and c["reason"] in HELD for c in conditions):
            return
        wanted = {key: instant(text) for key, text in capture["status"]["range"].items()}
        person = self.people[capture["spec"]["bufferRef"]["name"]]
        lost = [file.name for file in person.segments(**wanted) if not file.exists()]
        name = capture["metadata"]["name"]
        # It may have become ready, and have let go, since it was read.
        if lost and not is_finished(self.stack.get("rcap", name) or {}):
            self.violations.append(f"{name} still waits for {lost}")


def is_finished(capture: dict[str, Any]) -> bool:
    conditions = capture.get("status", {}).get("conditions", [])
    return any(c["type"] in ("Ready", "Stalled") and c["status"] == "True" for c in conditions)


def has_ended(job: dict[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def owner_name(job: dict[str, Any]) -> str:
    return str(next((o["name"] for o in job["metadata"].get("ownerReferences", [])), ""))


@pytest.fixture
def people(stack: Stack, new_buffer: BufferFactory, tmp_path: Path) -> Iterator[dict[str, Person]]:
    """Five owners, each with a living buffer in which an older run comes of age.

    The run is laid there: nobody waits two minutes and a half until a recording is old enough to go.
    """
    segments = sorted(make_long_run(tmp_path / "run", tmp_path, SEGMENTS).glob("seg_*.ts"))
    buffers = [new_buffer(windowSeconds=WINDOW_SECONDS, owner=f"owner-{n}") for n in range(OWNERS)]
    found: dict[str, Person] = {}
    for name in buffers:
        buffer = stack.wait_for_condition("rb", name, "Recording", seconds=90)
        began_at = (datetime.now(UTC) - KEPT + MARGIN).replace(microsecond=0)
        path = RunPath(stack.namespace, buffer["metadata"]["uid"], run_name(began_at, "0123abcd"))
        run = FinishedRun(path, began_at, SEGMENT_SECONDS, segments)
        lay_run(stack, buffer, run)
        directory = stack.node.volume_path(stack.namespace, BUFFER_CLAIM) / path.relative
        found[name] = Person(buffer["spec"]["owner"], name, run, directory)
    yield found
    uids = [c["metadata"]["name"] for c in stack.list_all("rcap") if c["spec"]["bufferRef"]["name"] in found]
    stack.kubectl("delete", "rcap", "--ignore-not-found", "--wait=false", *uids)


def test_a_crowd_of_captures_gets_whole_clips_in_fair_order_while_segments_die_around_them(
    stack: Stack, people: dict[str, Person], capsys: pytest.CaptureFixture[str]
) -> None:
    watch, offset = Watch(stack, people), audit_log_size(stack.plane.audit_log)
    click = datetime.now(UTC)
    start = click - KEPT + MARGIN
    # One owner after the other: who comes first must not be served first.
    crowd = {
        f"{name}-{number}": (person, start + timedelta(seconds=number % 3))
        for name, person in people.items()
        for number in range(CAPTURES_EACH)
    }
    stack.apply(
        *(
            capture_object(name, person.buffer, range=between(begin, begin + WANTED))
            for name, (person, begin) in crowd.items()
        )
    )
    stack.wait_for("the end of all captures", watch.all_finished, seconds=300)
    captures = {name: stack.get("rcap", name) or {} for name in crowd}

    assert watch.violations == []
    for name, capture in captures.items():
        clip = capture["status"].get("clip")
        assert clip, f"{name}: {capture['status']['conditions']}"
        assert clip["holes"] == []
        assert -FRAME <= timedelta(milliseconds=clip["milliseconds"]) - WANTED <= REORDERING
    assert watch.most_jobs <= PLACES
    stack.wait_for("the end of all Jobs", lambda: len(ended_jobs(stack, crowd)) == len(crowd), seconds=60)
    assert most_at_once(ended_jobs(stack, crowd)) <= PLACES

    jobs = {capture["status"]["job"]["name"]: crowd[name][0].name for name, capture in captures.items()}
    order = [jobs[name] for name in created_jobs(stack, offset) if name in jobs]
    assert len(order) == len(crowd), "each capture needed one Job"
    # The first places go to whoever is there first; from then on owners take turns.
    assert unfairness(order[PLACES:]) < PLACES, f"an owner was served again while others waited: {order}"

    ready = max(ready_at(capture) for capture in captures.values())
    assert ready - KEPT > start + WANTED, "the last clip was made of segments that were too old to stay"
    assert watch.gone_while_waiting, "retention was at work"
    everything = [f for p in people.values() for f in p.segments(start, start + WANTED)]
    stack.wait_for("the end of the pins", lambda: not any(f.exists() for f in everything), seconds=60)
    with capsys.disabled():
        print(
            f"\n{len(crowd)} captures ready within {(ready - click).total_seconds():.0f} s, at most "
            f"{watch.most_jobs} Jobs at once; {len(watch.gone_while_waiting)} segments went meanwhile"
        )


def ready_at(capture: dict[str, Any]) -> datetime:
    condition = next(c for c in capture["status"]["conditions"] if c["type"] == "Ready")
    return instant(condition["lastTransitionTime"])


def created_jobs(stack: Stack, offset: int) -> list[str]:
    """Names of the Jobs in the order in which they were made, from the API server's audit log."""
    stack.plane.flush_audit_log()
    records = audit_records(stack.plane.audit_log, offset=offset)
    return [r.name for r in records if (r.verb, r.resource, r.code) == ("create", "jobs", 201)]


def ended_jobs(stack: Stack, captures: Collection[str]) -> list[dict[str, Any]]:
    jobs = [job for job in stack.list_all("jobs") if owner_name(job) in captures]
    return [job for job in jobs if "completionTime" in job.get("status", {})]


def most_at_once(jobs: list[dict[str, Any]]) -> int:
    """How many Jobs there were at once, by whole seconds, as Kubernetes tells them."""
    spans = [
        (instant(job["metadata"]["creationTimestamp"]), instant(job["status"]["completionTime"]))
        for job in jobs
    ]
    return max(sum(begin <= start < end for begin, end in spans) for start, _ in spans)


def unfairness(order: list[str]) -> int:
    """By how many Jobs an owner was ever ahead of another who still waited for one."""
    left, served, worst = Counter(order), Counter[str](), 0
    for owner in order:
        behind = min(served[other] for other in left if left[other])
        worst = max(worst, served[owner] - behind)
        served[owner] += 1
        left[owner] -= 1
    return worst

"""How the bench from the click to the clip takes a capture apart."""

from __future__ import annotations

import pytest

from benchmarks.moment.parts import IncompleteLogError, Part, Told, parts_of, parts_table, percentile
from replay_operator.api.capture_job import Timings
from tests.builders import NOW, at
from tests.testbed.audit import AuditRecord

TOLD = Told(
    click=NOW,
    capture="goal",
    job="goal-1",
    pod="goal-1-abcde",
    ready=at(4.5),
    published=at(4),
    timings=Timings(start=500, wait=0, plan=200, join=1000, verify=10, publish=290),
)


def request(seconds: float, verb: str, resource: str, name: str = "", *, code: int = 200) -> AuditRecord:
    kind, _, subresource = resource.partition("/")
    return AuditRecord(
        verb=verb,
        user="",
        pod="",
        user_agent="",
        resource=kind,
        subresource=subresource,
        namespace="",
        name=name,
        code=code,
        stage_timestamp=at(seconds),
        request_uri="",
    )


LOG = [
    request(0.1, "create", "replaycaptures", "goal", code=201),
    request(0.2, "patch", "replaycaptures/status", "goal", code=409),
    request(0.3, "patch", "replaycaptures/status", "goal"),
    request(0.5, "create", "jobs", "goal-1", code=201),
    request(0.55, "patch", "replaycaptures/status", "goal"),
    request(0.7, "create", "pods", code=201),
    request(0.8, "create", "pods/binding", "goal-1-abcde", code=201),
    request(2.0, "patch", "pods/status", "goal-1-abcde"),
    request(4.2, "patch", "pods/status", "goal-1-abcde"),
    request(4.6, "patch", "replaycaptures/status", "goal"),
    request(9.0, "patch", "replaycaptures/status", "goal"),
]


def test_the_parts_of_a_capture_follow_each_other_and_add_up_to_the_whole() -> None:
    parts = {part.name: part.milliseconds for part in parts_of(TOLD, LOG)}
    assert parts == {
        "kubectl and admission": 100,
        "resolve": 200,
        "pin and queue": 200,
        "Job to pod": 200,
        "scheduler": 100,
        "node, until the process begins": 1200,
        "Python and imports": 500,
        "wait for the last segment": 0,
        "plan": 200,
        "join": 1000,
        "verify": 10,
        "publish": 290,
        "until the node tells of the clip": 200,
        "status": 400,
    }
    assert sum(parts.values()) == 4600, "up to the write that says Ready, and not to a later one"


def test_the_start_of_the_pod_is_told_apart_from_our_share() -> None:
    parts = parts_of(TOLD, LOG)
    assert [part.name for part in parts if part.pod] == [
        "Job to pod",
        "scheduler",
        "node, until the process begins",
    ]
    table = parts_table([parts])
    assert "| **start of the pod** | 1500 | 1500 | 1500 |" in table
    assert "| **our share** | 3100 | 3100 | 3100 |" in table
    assert "| **from the click to Ready** | 4600 | 4600 | 4600 |" in table


def test_a_pod_that_is_bound_before_the_answer_to_its_making_is_complete_takes_no_negative_time() -> None:
    early = [r if r.subresource != "binding" else request(0.65, "create", "pods/binding") for r in LOG]
    parts = {part.name: part.milliseconds for part in parts_of(TOLD, early)}
    assert (parts["Job to pod"], parts["scheduler"]) == (150, 0)
    assert sum(parts.values()) == 4600


def test_a_log_that_lacks_a_request_is_not_guessed_at() -> None:
    with pytest.raises(IncompleteLogError, match="create of jobs goal-1"):
        parts_of(TOLD, [r for r in LOG if r.resource != "jobs"])


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (1.0, 20), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile(range(20, 0, -1), share) == value
    assert percentile([7], share) == 7


def test_the_table_has_the_median_the_p95_and_the_highest() -> None:
    table = parts_table([[Part("join", ms)] for ms in range(1, 21)])
    assert "| join | 10 | 19 | 20 |" in table

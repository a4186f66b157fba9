"""The production checklist: each check fails for what it is there for, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replay_operator.domain.checks.checklist import CHECKS, Check, examine, overall
from replay_operator.domain.checks.facts import NOT_ASKED, Facts
from replay_operator.domain.checks.objects import PodFacts
from replay_operator.domain.checks.verdict import (
    Level,
    Unseen,
    Verdict,
    failed,
    passed,
    together,
    warned,
)
from tests.unit.doctor_breaks import BROKEN, FAIL, PASS, WARN, workers
from tests.unit.doctor_world import HEALTHY, finding, pod


def test_a_healthy_install_passes_everything() -> None:
    assert {f.check.name: f.verdict for f in examine(HEALTHY) if f.verdict.level is not PASS} == {}
    assert overall(examine(HEALTHY)) is PASS


@pytest.mark.parametrize(
    ("name", "level", "words", "changes"), BROKEN, ids=[f"{n}-{lev}-{words}" for n, lev, words, _ in BROKEN]
)
def test_a_check_says_what_is_wrong_and_how_to_mend_it(
    name: str, level: Level, words: str, changes: dict[str, Any]
) -> None:
    verdict = finding(name, **changes).verdict
    assert verdict.level is level
    assert words in f"{verdict.message} {verdict.mend}"
    assert (verdict.mend == "") is (level is PASS)


def test_each_check_can_fail_or_warn() -> None:
    assert {name for name, level, _, _ in BROKEN if level is not PASS} == {check.name for check in CHECKS}


def test_what_nobody_could_see_is_a_warning_with_what_it_needs() -> None:
    unseen = Unseen("cannot see it: needs get on things", "allow get on things")
    fields = {name: unseen for name, value in vars_of(HEALTHY).items() if _may_be_unseen(name, value)}

    findings = examine(replace(HEALTHY, clocks=(), secret_keys={}, **fields))

    assert {f.verdict.level for f in findings} == {WARN}
    assert all(f.verdict.message.startswith(("not checked", "no pod was seen")) for f in findings)
    assert all(f.verdict.mend for f in findings)


def vars_of(facts: Facts) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in Facts.__dataclass_fields__}


def _may_be_unseen(name: str, value: object) -> bool:
    return Facts.__dataclass_fields__[name].default is NOT_ASKED and value is not None


def test_a_check_that_breaks_hides_no_other() -> None:
    def breaks(_: Facts) -> Any:
        raise KeyError("shape")

    findings = examine(HEALTHY, (Check("Install", "broken", breaks), *CHECKS))

    assert findings[0].verdict.level is WARN
    assert "KeyError" in findings[0].verdict.message
    assert len(findings) == len(CHECKS) + 1


def test_names_of_checks_are_unique_and_their_groups_lie_together() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    groups = [check.group for check in CHECKS]
    assert groups == sorted(groups, key=["Install", "LiveKit", "Fleet", "Storage"].index)


def test_the_page_explains_each_check_in_its_group_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    told, group = [], ""
    for line in page.splitlines():
        if line.startswith("### "):
            group = line.removeprefix("### ")
        elif group and line.startswith("| `"):
            told.append((group, line.split("`")[1]))
    assert told == [(check.group, check.name) for check in CHECKS]


def test_a_worker_on_its_way_out_is_not_judged() -> None:
    leaving: PodFacts = pod(
        "worker-0", terminating=True, mounts=(), image="livekit/egress:v1.0.0", node="node-9"
    )
    findings = examine(replace(HEALTHY, workers=(*HEALTHY.workers, leaving)))
    assert overall(findings) is PASS


def test_of_several_faults_the_worst_is_told_first_and_each_way_to_mend_it_once() -> None:
    bad = (warned("slow", "hurry"), passed("fine"), failed("broken", "mend"), warned("late", "hurry"))
    assert together(bad, "all well") == Verdict(FAIL, "broken; slow; late", "mend; hurry")


def test_the_same_fault_of_many_pods_is_told_once() -> None:
    message = finding("workers-resources", **workers(requests={})).verdict.message
    assert message.count("workers request") == 1

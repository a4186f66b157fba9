"""health.lua in Argo CD's Lua beside the real kstatus, over everything that the conditions may say."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.meta import Condition
from replay_operator.domain.captures import Refusal
from replay_operator.domain.status_contract import (
    BUFFER_CONTRACT,
    CAPTURE_CONTRACT,
    BufferState,
    CaptureState,
    Contract,
    conditions_of,
    kstatus,
)
from tests.argocd.argolua import ArgoLua
from tests.argocd.customizations import CUSTOMIZATIONS, KINDS
from tests.builders import NOW, buffer_body, capture_body

Json = dict[str, Any]

BUFFER, CAPTURE = (CUSTOMIZATIONS / "replaybuffer.dev" / name for name in ("ReplayBuffer", "ReplayCapture"))
HEALTH_OF = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
GENERATION = 3

CASES = [
    (kind, case)
    for kind in KINDS
    for case in yaml.safe_load((kind / "health_test.yaml").read_text())["tests"]
]
ROWS: list[tuple[Json, BufferState | CaptureState, Contract, str]] = [
    *((buffer_body(), state, contract, state.value) for state, contract in BUFFER_CONTRACT.items()),
    *((capture_body(), state, contract, state.value) for state, contract in CAPTURE_CONTRACT.items()),
    *(
        (capture_body(), CaptureState.FAILED, CAPTURE_CONTRACT[CaptureState.FAILED], reason.value)
        for reason in (*CaptureErrorReason, *Refusal)
    ),
]


def as_json(condition: Condition) -> Json:
    return condition.model_dump(mode="json", by_alias=True)


def with_status(body: Json, conditions: list[Json], *, observed: int = GENERATION) -> Json:
    metadata = body["metadata"] | {"generation": GENERATION}
    return body | {
        "metadata": metadata,
        "status": {"observedGeneration": observed, "conditions": conditions},
    }


def health(argolua: ArgoLua, body: Json) -> Json:
    answer = argolua.run(CUSTOMIZATIONS / "replaybuffer.dev" / body["kind"] / "health.lua", body)
    assert set(answer) == {"status", "message"}
    return dict(answer)


@pytest.mark.parametrize(
    ("kind", "case"), CASES, ids=[f"{kind.name}-{Path(case['inputPath']).stem}" for kind, case in CASES]
)
def test_the_health_of_argo_cds_own_test_data_is_as_it_says(argolua: ArgoLua, kind: Path, case: Json) -> None:
    body = yaml.safe_load((kind / case["inputPath"]).read_text())
    assert health(argolua, body) == case["healthStatus"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_health_that_a_kind_may_have_is_in_argo_cds_own_test_data(kind: Path) -> None:
    shown = {case["healthStatus"]["status"] for of, case in CASES if of == kind}
    assert shown == {"Healthy", "Progressing", "Degraded"} | ({"Suspended"} if kind == BUFFER else set())
    files = {str(path.relative_to(kind)) for path in (kind / "testdata").iterdir()}
    assert files == {case["inputPath"] for of, case in CASES if of == kind}


@pytest.mark.parametrize(
    ("body", "state", "contract", "reason"), ROWS, ids=[f"{row[0]['kind']}-{row[3]}" for row in ROWS]
)
def test_health_and_kstatus_of_every_row_of_the_status_contract(
    argolua: ArgoLua, body: Json, state: BufferState | CaptureState, contract: Contract, reason: str
) -> None:
    conditions = conditions_of((), contract, reason=reason, message="m", generation=GENERATION, now=NOW)
    seen = with_status(body, [as_json(condition) for condition in conditions])
    real = argolua.kstatus(seen)
    assert real == kstatus(GENERATION, GENERATION, conditions).value, "our kstatus is the real one"
    wanted = "Suspended" if state is BufferState.SUSPENDED else HEALTH_OF[real]
    assert health(argolua, seen) == {"status": wanted, "message": "m"}

    unseen = with_status(body, [as_json(c) for c in conditions], observed=GENERATION - 1)
    assert argolua.kstatus(unseen) == "InProgress"
    assert health(argolua, unseen)["status"] == "Progressing"


@pytest.mark.parametrize("body", [buffer_body(), capture_body()], ids=["ReplayBuffer", "ReplayCapture"])
def test_health_agrees_with_kstatus_whatever_the_conditions_say(argolua: ArgoLua, body: Json) -> None:
    values = ("True", "False", "Unknown", None)
    for said in product(("True", "False", "Unknown"), values, values):
        present = [
            {"type": type_, "status": status, "reason": "R", "message": "m"}
            for type_, status in zip(("Ready", "Reconciling", "Stalled"), said, strict=True)
            if status is not None
        ]
        for conditions in permutations(present):
            for observed in (GENERATION, GENERATION - 1):
                seen = with_status(body, list(conditions), observed=observed)
                assert health(argolua, seen)["status"] == HEALTH_OF[argolua.kstatus(seen)], conditions


@pytest.mark.parametrize("body", [buffer_body(), capture_body()], ids=["ReplayBuffer", "ReplayCapture"])
@pytest.mark.parametrize("status", [None, {}, {"conditions": []}, {"observedGeneration": 1}])
def test_an_object_that_the_operator_has_not_looked_at_is_in_progress(
    argolua: ArgoLua, body: Json, status: Json | None
) -> None:
    seen = body if status is None else body | {"status": status}
    assert argolua.kstatus(seen) == "Current", "kstatus alone would call it done"
    assert health(argolua, seen)["status"] == "Progressing"


def test_the_page_about_gitops_says_the_same() -> None:
    page = (CUSTOMIZATIONS.parents[2] / "docs" / "gitops.md").read_text()
    for real, shown in [*HEALTH_OF.items(), ("Current", "Suspended")]:
        assert f" | {real} | {shown} |" in page

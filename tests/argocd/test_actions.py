"""The resource actions in Argo CD's Lua, on its own test data and on what the operator can say."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.api.capture_job import EXIT_CODES, CaptureErrorReason, ExitCode
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capture_end import gitops_mark
from replay_operator.domain.captures import Refusal
from replay_operator.domain.policy import forget_before
from tests.argocd.argolua import ArgoLua, LuaError
from tests.argocd.customizations import CUSTOMIZATIONS, KINDS, action_names
from tests.builders import buffer_body, capture_body, rfc3339

Json = dict[str, Any]

BUFFER, CAPTURE = (CUSTOMIZATIONS / "replaybuffer.dev" / name for name in ("ReplayBuffer", "ReplayCapture"))
TESTS = {kind: yaml.safe_load((kind / "actions" / "action_test.yaml").read_text()) for kind in KINDS}
DISCOVERIES = [(kind, case) for kind in KINDS for case in TESTS[kind]["discoveryTests"]]
ACTIONS = [(kind, case) for kind in KINDS for case in TESTS[kind]["actionTests"]]

# What stands for the time of the action in the expected output.
ANY_TIME, ANY_STAMP = "0001-01-01T00:00:00Z", "00010101000000"
_NOW = re.compile(r"\b(\d{4})-?(\d\d)-?(\d\d)T?(\d\d):?(\d\d):?(\d\d)Z?(?=\")")


def read(kind: Path, path: str) -> Any:
    return yaml.safe_load((kind / "actions" / path).read_text())


def without_now(output: Any) -> Any:
    """The output of an action, with times of the last minute replaced by what stands for them."""

    def replaced(found: re.Match[str]) -> str:
        moment = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type] # six numbers
        if abs(datetime.now(UTC) - moment) > timedelta(minutes=1):
            return found[0]
        return ANY_TIME if "T" in found[0] else ANY_STAMP

    return json.loads(_NOW.sub(replaced, json.dumps(output)))


def in_argo_cds_words(answer: Any) -> Any:
    """The answer of an action, with the fields that Argo CD's test data has for a list of resources."""
    if isinstance(answer, dict):
        return answer
    return [{"k8sOperation": each["operation"], "unstructuredObj": each["resource"]} for each in answer]


def discovered(argolua: ArgoLua, kind: Path, body: Json) -> Json:
    return dict(argolua.run(kind / "actions" / "discovery.lua", body))


def failed(reason: str) -> Json:
    stalled = {"type": "Stalled", "status": "True", "reason": reason, "message": "m"}
    return capture_body() | {"status": {"observedGeneration": 1, "conditions": [stalled]}}


@pytest.mark.parametrize(
    ("kind", "case"), DISCOVERIES, ids=[f"{kind.name}-{Path(c['inputPath']).stem}" for kind, c in DISCOVERIES]
)
def test_what_is_offered_is_as_argo_cds_own_test_data_says(argolua: ArgoLua, kind: Path, case: Json) -> None:
    offered = discovered(argolua, kind, read(kind, case["inputPath"]))
    as_listed = [{"name": name} | rest for name, rest in sorted(offered.items())]
    assert as_listed == sorted(case["result"], key=lambda action: str(action["name"]))


@pytest.mark.parametrize(
    ("kind", "case"),
    ACTIONS,
    ids=[f"{kind.name}-{c['action']}-{Path(c['inputPath']).stem}" for kind, c in ACTIONS],
)
def test_what_an_action_does_is_as_argo_cds_own_test_data_says(
    argolua: ArgoLua, kind: Path, case: Json
) -> None:
    script = kind / "actions" / case["action"] / "action.lua"
    done = argolua.run(script, read(kind, case["inputPath"]))
    assert in_argo_cds_words(without_now(done)) == read(kind, case["expectedOutputPath"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_action_is_offered_and_has_test_data(argolua: ArgoLua, kind: Path) -> None:
    offered = discovered(argolua, kind, buffer_body() if kind == BUFFER else capture_body())
    assert sorted(offered) == action_names(kind)
    assert {case["action"] for case in TESTS[kind]["actionTests"]} == set(offered)


@pytest.mark.parametrize("reason", [*CaptureErrorReason, *Refusal])
def test_a_failed_capture_may_be_tried_again_unless_the_same_request_will_be_refused_again(
    argolua: ArgoLua, reason: CaptureErrorReason | Refusal
) -> None:
    refused = isinstance(reason, CaptureErrorReason) and EXIT_CODES[reason] is ExitCode.REFUSED
    assert discovered(argolua, CAPTURE, failed(reason.value))["retry"]["disabled"] is refused


def retried(argolua: ArgoLua, body: Json) -> ReplayCapture:
    (made,) = argolua.run(CAPTURE / "actions" / "retry" / "action.lua", body)
    assert made["operation"] == "create"
    rest = {"uid": "of-the-retry", "creationTimestamp": rfc3339(datetime.now(UTC))}
    created = made["resource"] | {"metadata": made["resource"]["metadata"] | rest}
    return ReplayCapture.model_validate(created)


def test_a_retry_asks_for_all_that_the_failed_capture_asked_for_but_the_range(argolua: ArgoLua) -> None:
    spec = {"tail": "Flush", "trim": "Segment", "output": {"title": "T"}, "ttlSecondsAfterFinished": 60}
    body = capture_body(**spec) | {
        "status": {"range": {"start": "2026-11-23T11:59:00Z", "end": "2026-11-23T12:00:01Z"}}
    }
    before, after = ReplayCapture.model_validate(body), retried(argolua, body)
    assert after.spec.model_copy(update={"range": before.spec.range}) == before.spec
    assert after.status.range is None
    assert after.spec.range.between is not None
    assert before.status.range is not None
    assert after.spec.range.between.start == before.status.range.start
    assert after.spec.range.between.end == before.status.range.end


@pytest.mark.parametrize(
    "wanted",
    [
        {"last": {"seconds": 60, "until": "2026-11-23T11:00:00.123Z", "postRollSeconds": 15}},
        {"between": {"start": "2026-11-23T11:00:00Z", "end": "2026-11-23T11:01:00Z"}},
    ],
)
def test_a_retry_before_the_range_was_resolved_names_the_same_range(argolua: ArgoLua, wanted: Json) -> None:
    assert (
        retried(argolua, capture_body(range=wanted)).spec.range
        == ReplayCapture.model_validate(capture_body(range=wanted)).spec.range
    )


def test_a_retry_carries_no_mark_of_gitops_so_that_it_may_expire(argolua: ArgoLua) -> None:
    body = capture_body()
    body["metadata"]["annotations"] = {
        "argocd.argoproj.io/tracking-id": "team:replaybuffer.dev/ReplayCapture:x"
    }
    body["metadata"]["labels"] = {"app.kubernetes.io/instance": "team"}
    assert gitops_mark(ReplayCapture.model_validate(body).metadata)
    assert gitops_mark(retried(argolua, body).metadata) is None


def test_the_operator_reads_the_time_that_forget_writes(argolua: ArgoLua) -> None:
    body = buffer_body()
    body["metadata"]["annotations"] = {"team": "a"}
    done = argolua.run(BUFFER / "actions" / "forget" / "action.lua", body)
    assert done["metadata"]["annotations"]["team"] == "a"
    moment = forget_before(ReplayBuffer.model_validate(done))
    assert moment is not None
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


@pytest.mark.parametrize("missing", ["string", "math", "io", "os"])
def test_the_lua_of_these_tests_has_no_library_that_argo_cd_does_not_open(
    argolua: ArgoLua, tmp_path: Path, missing: str
) -> None:
    script = tmp_path / "script.lua"
    script.write_text(f"return {{ found = {missing} ~= nil }}")
    assert argolua.run(script, buffer_body()) == {"found": False}


def test_a_script_that_never_ends_is_ended(argolua: ArgoLua, tmp_path: Path) -> None:
    script = tmp_path / "script.lua"
    script.write_text("while true do end")
    with pytest.raises(LuaError, match="deadline"):
        argolua.run(script, buffer_body())

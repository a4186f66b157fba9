"""`replay-operator doctor` as a program: what it prints, how it ends, what a silent probe costs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from replay_operator.cli.doctor.command import exit_code, main
from replay_operator.cli.doctor.output import SCHEMA, as_json, as_text
from replay_operator.cli.doctor.sight import see
from replay_operator.cluster.gateway import ClusterUnreachable, Forbidden
from replay_operator.domain.checks.checklist import CHECKS, examine
from replay_operator.domain.checks.verdict import Unseen
from tests.testbed.ports import free_ports
from tests.unit.doctor_world import HEALTHY, NOW

SICK = replace(HEALTHY, lease=None, budgets=())
WORRIED = replace(HEALTHY, budgets=())


def test_each_check_has_one_line_and_a_way_to_mend_it_below_when_it_is_not_well() -> None:
    lines = as_text(examine(SICK)).splitlines()
    told = [line for line in lines if line.startswith(("PASS", "WARN", "FAIL"))]
    assert [line.split()[1] for line in told] == [check.name for check in CHECKS]
    assert sum(" -> " in line for line in lines) == 2
    assert lines[-1] == f"{len(CHECKS) - 2} pass, 1 warn, 1 fail"
    assert [line for line in lines if line in ("Install", "LiveKit", "Fleet", "Storage")] == [
        "Install",
        "LiveKit",
        "Fleet",
        "Storage",
    ]


def test_the_json_form_holds_every_check_under_stable_names() -> None:
    told = json.loads(as_json(examine(SICK), namespace="replay", version="1", checked_at=NOW))
    assert set(told) == {"schema", "namespace", "version", "checkedAt", "summary", "checks"}
    assert told["schema"] == SCHEMA == 1
    assert told["summary"] == {"pass": len(CHECKS) - 2, "warn": 1, "fail": 1}
    lease = next(check for check in told["checks"] if check["name"] == "lease")
    assert set(lease) == {"group", "name", "level", "message", "mend"}
    assert (lease["group"], lease["level"]) == ("Install", "FAIL")


@pytest.mark.parametrize(
    ("facts", "strict", "code"),
    [
        (HEALTHY, True, 0),
        (WORRIED, False, 0),
        (WORRIED, True, 1),
        (SICK, False, 1),
        (SICK, True, 1),
    ],
)
def test_failures_and_with_strict_warnings_decide_the_exit_code(facts: Any, strict: bool, code: int) -> None:
    assert exit_code(examine(facts), strict=strict) == code


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POD_NAMESPACE", "REPLAY_KUBECONFIG", "KUBERNETES_SERVICE_HOST", "REPLAY_CAPTURE_IMAGE"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_kubeconfig_it_says_that_it_could_not_run(
    lonely: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--kubeconfig", str(tmp_path / "none")]) == 2
    assert "no way to the cluster" in capsys.readouterr().err


def test_without_an_api_server_it_says_that_it_could_not_run(
    lonely: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))

    assert main(["--kubeconfig", str(path), "-n", "replay"]) == 2
    printed = capsys.readouterr()
    assert "the API server did not answer" in printed.err
    assert printed.out == ""


async def test_a_probe_that_hangs_is_given_up_in_time() -> None:
    seen = await see("the volume", asyncio.Event().wait(), seconds=0.01)
    assert isinstance(seen, Unseen)
    assert "no answer about the volume within 0.01 s" in seen.why


async def test_a_right_that_lacks_is_named() -> None:
    async def forbidden() -> None:
        raise Forbidden(403, "no")

    seen = await see("ConfigMap x", forbidden(), right="get on configmaps")
    assert isinstance(seen, Unseen)
    assert seen.why == "cannot see ConfigMap x: needs get on configmaps"


@pytest.mark.parametrize("error", [ClusterUnreachable(503, "later"), KeyError("spec"), OSError("gone")])
async def test_whatever_a_probe_raises_becomes_a_fact(error: Exception) -> None:
    async def breaks() -> None:
        raise error

    seen = await see("it", breaks())
    assert isinstance(seen, Unseen)
    assert seen.mend

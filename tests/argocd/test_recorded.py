"""Health of statuses that the operator really wrote, recorded while other tests ran (`recording.py`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from replay_operator.domain.status_contract import BufferState, CaptureState
from tests.argocd.argolua import ArgoLua
from tests.argocd.recording import RECORDED, SCRIPTED, key_of, read
from tests.argocd.test_health import HEALTH_OF, health

Json = dict[str, Any]

OBJECTS: dict[str, Json] = {
    " ".join((path.stem, *key_of(body))): body for path in (RECORDED, SCRIPTED) for body in read(path)
}


@pytest.mark.parametrize("body", OBJECTS.values(), ids=OBJECTS)
def test_health_agrees_with_kstatus_for_what_the_operator_wrote(argolua: ArgoLua, body: Json) -> None:
    conditions = {c["type"]: c for c in body.get("status", {}).get("conditions", [])}
    real = argolua.kstatus(body)
    if not conditions:
        wanted = "Progressing"
    elif real == "Current" and conditions["Ready"]["reason"] == "Suspended":
        wanted = "Suspended"
    else:
        wanted = HEALTH_OF[real]
    said = health(argolua, body)
    assert said["status"] == wanted
    if conditions and said["status"] != "Progressing":
        assert said["message"] == conditions["Ready"]["message"]


@pytest.mark.parametrize("path", [RECORDED, SCRIPTED], ids=lambda path: path.stem)
def test_a_recording_holds_both_kinds_and_nothing_of_the_machine_that_made_it(path: Path) -> None:
    assert not re.search(r"/(tmp|root|home|srv|work|var)/", path.read_text())
    reasons = {c["reason"] for body in read(path) for c in body.get("status", {}).get("conditions", [])}
    assert reasons & set(BufferState)
    assert reasons & set(CaptureState)


def test_what_was_recorded_has_every_health(argolua: ArgoLua) -> None:
    assert {health(argolua, body)["status"] for body in OBJECTS.values()} == {
        *HEALTH_OF.values(),
        "Suspended",
    }

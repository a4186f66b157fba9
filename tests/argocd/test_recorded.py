"""Health of statuses that the operator really wrote, recorded while other tests ran (`recording.py`)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from replay_operator.domain.status_contract import BufferState, CaptureState
from tests.argocd.argolua import ArgoLua
from tests.argocd.recording import RECORDED, key_of
from tests.argocd.test_health import HEALTH_OF, health

Json = dict[str, Any]

OBJECTS: list[Json] = [json.loads(line) for line in RECORDED.read_text().splitlines()]


@pytest.mark.parametrize("body", OBJECTS, ids=[" ".join(key_of(body)) for body in OBJECTS])
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


def test_the_recording_holds_every_health_and_nothing_of_the_machine_that_made_it() -> None:
    assert not re.search(r"/(tmp|root|home|srv|work|var)/", RECORDED.read_text())
    reasons = {c["reason"] for body in OBJECTS for c in body.get("status", {}).get("conditions", [])}
    assert reasons & set(BufferState)
    assert reasons & set(CaptureState)

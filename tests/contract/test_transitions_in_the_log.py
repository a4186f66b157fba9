"""What the log says while a buffer comes up and a clip is made: one line for each transition."""

from __future__ import annotations

import logging

import pytest

from tests.builders import at, rfc3339
from tests.contract.rig import Rig
from tests.contract.test_capture_flow import DONE, until_cutting


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "replay_operator.controller")
    return caplog


def transitions(told: pytest.LogCaptureFixture, kind: str) -> list[dict[str, object]]:
    fields = ("reason", "buffer", "capture", "egress", "run")
    return [
        {name: vars(record)[name] for name in fields if name in vars(record)}
        for record in told.records
        if vars(record).get("kind") == kind
    ]


async def test_each_transition_of_a_buffer_is_one_line_with_its_egress_and_run(
    rig: Rig, told: pytest.LogCaptureFixture
) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    for _ in range(5):
        await rig.seconds_pass(6)
    lines = transitions(told, "ReplayBuffer")
    assert [line["reason"] for line in lines] == ["Starting", "Recording"]
    egress = rig.buffer.status.egress
    assert egress is not None
    assert lines[1] == {
        "reason": "Recording",
        "buffer": "alice-screen",
        "egress": egress.id,
        "run": egress.run,
    }


async def test_each_transition_of_a_capture_is_one_line_with_its_buffer(
    rig: Rig, told: pytest.LogCaptureFixture
) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    rig.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    await until_cutting(rig)
    rig.job_ends(rig.job_names[0], condition="Complete", message=DONE)
    await rig.reconcile_capture()
    lines = transitions(told, "ReplayCapture")
    assert lines[-1] == {"reason": "ClipReady", "capture": "goal", "buffer": "alice-screen"}
    reasons = [line["reason"] for line in lines]
    assert len(reasons) == len(set(reasons)), "nothing is said twice"


async def test_the_egress_that_writes_a_new_run_is_one_line(rig: Rig, told: pytest.LogCaptureFixture) -> None:
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    (started,) = [record for record in told.records if "writes run" in record.getMessage()]
    egress = rig.buffer.status.egress
    assert egress is not None
    about = vars(started)
    assert (about["buffer"], about["egress"], about["run"]) == ("alice-screen", egress.id, egress.run)

"""The operator's Role is what it uses, no less and no more: held against the API server's audit log."""

from __future__ import annotations

import pytest

from tests.flow.conftest import BufferFactory, capture_object
from tests.flow.test_capture_life import ended_job_of, jobs_of
from tests.flow.test_record_and_save import wait_for_window
from tests.stack.images import CHECKOUT
from tests.stack.rights import denied, granted, requests_of, used
from tests.stack.stack import Stack

ELSEWHERE = {
    ("get", "jobs"): (
        "tests/contract/test_capture_flow.py",
        "test_a_job_that_somebody_deleted_is_made_again",
    ),
    ("patch", "persistentvolumeclaims"): (
        "tests/flow/test_volumes_and_fleet.py",
        "test_the_volume_grows_for_a_buffer_before_anybody_records",
    ),
}
"""Rights that the story below need not use, and the test that does."""


@pytest.fixture
def finished(stack: Stack, new_buffer: BufferFactory) -> Stack:
    """An install that has been through everything that a buffer and its captures may ask of it."""
    buffer = new_buffer()
    stack.wait_for_condition("rb", buffer, "Recording", seconds=60)
    wait_for_window(stack, buffer, 5)
    stack.apply(capture_object("kept", buffer, deletionPolicy="Delete"))
    stack.apply(capture_object("expiring-soon", buffer, ttlSecondsAfterFinished=1))
    stack.wait_for_condition("rcap", "kept", "Ready", seconds=60)
    kept = stack.get("rcap", "kept") or {}
    ended_job_of(stack, kept)
    stack.wait_for(
        "the Job's time to live",
        lambda: all("ttlSecondsAfterFinished" in job["spec"] for job in jobs_of(stack, kept)),
        seconds=60,
    )
    stack.wait_for("the end of the one", lambda: stack.get("rcap", "expiring-soon") is None, seconds=60)
    stack.kubectl("delete", "rcap", "kept", "--wait=false")
    stack.wait_for("the end of the other", lambda: stack.get("rcap", "kept") is None, seconds=60)
    return stack


def test_nothing_that_the_operator_asks_for_is_denied_and_nothing_that_it_is_granted_is_unused(
    finished: Stack,
) -> None:
    # The doctor may use the account too, and is told what it may not.
    records = [
        record
        for record in requests_of(finished, "replay-operator")
        if record.pod.startswith("replay-operator-")
    ]
    allowed = granted(finished.get("role", "replay-operator") or {})
    assert denied(records) == []
    assert {r.namespace for r in records if r.resource} == {finished.namespace}
    assert used(records) <= allowed
    assert allowed - used(records) <= ELSEWHERE.keys()


@pytest.mark.parametrize("right", ELSEWHERE, ids=" ".join)
def test_a_right_that_is_used_elsewhere_names_the_test_that_needs_it(right: tuple[str, str]) -> None:
    file, test = ELSEWHERE[right]
    assert f"def {test}(" in (CHECKOUT / file).read_text()

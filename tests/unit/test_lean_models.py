"""Models that are kept by the thousand, without what nobody asks them for."""

from __future__ import annotations

from replay_operator.api.model import lean
from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from tests.builders import NOW, buffer_body, rfc3339


def full() -> ReplayBuffer:
    condition = {
        "type": "Recording",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": rfc3339(NOW),
        "reason": "Recording",
        "message": "m",
    }
    return ReplayBuffer.model_validate(buffer_body() | {"status": {"conditions": [condition]}})


def test_a_lean_model_is_equal_and_says_the_same() -> None:
    assert lean(full()) == full()
    assert lean(full()).to_wire() == full().to_wire()


def test_nothing_in_it_keeps_names_of_its_own() -> None:
    buffer = lean(full())
    (condition,) = buffer.status.conditions
    kept = {id(part.model_fields_set) for part in (buffer, buffer.metadata, buffer.spec, condition)}
    assert len(kept) == 1
    assert buffer.model_fields_set == set()


def test_a_changed_copy_leaves_the_names_of_all_others_alone() -> None:
    buffer = lean(full())
    changed = buffer.model_copy(update={"status": ReplayBufferStatus()})
    assert changed.status == ReplayBufferStatus()
    assert changed.to_wire() != buffer.to_wire()
    assert lean(full()).model_fields_set == set()

"""Who gets a place for a Job, and how long the others are told to wait."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.controller.capture_line import CaptureLine
from replay_operator.controller.jobs import JobStore
from replay_operator.controller.store import ObjectStore
from replay_operator.metrics import OperatorMetrics
from tests.unit.test_capture_queue import cutting, queued

PLACES = 3


def line_of(*captures: ReplayCapture) -> CaptureLine:
    store = ObjectStore(ReplayCapture)
    for capture in captures:
        store.put(capture.model_dump(mode="json", by_alias=True, exclude_none=True))
    return CaptureLine(
        places=PLACES,
        captures=store,
        jobs=JobStore(),
        wake=lambda _: None,
        metrics=OperatorMetrics(CollectorRegistry()),
    )


def test_a_free_place_is_taken_at_once_and_by_one_only() -> None:
    line = line_of(
        cutting("x", "ann"), cutting("y", "bob"), queued("first", "cid", 1), queued("second", "dan", 2)
    )
    assert line.take_place("first") == 0
    assert line.take_place("second") == 1, (
        "the first has taken the last place, though its status says nothing yet"
    )


@pytest.mark.parametrize(("position", "rounds"), [(0, 1), (2, 1), (3, 2), (5, 2), (6, 3)])
def test_who_waits_is_told_how_many_rounds_of_jobs_come_first(position: int, rounds: int) -> None:
    busy = [cutting(f"busy-{n}", f"owner-{n}") for n in range(PLACES)]
    waiting = [queued(f"waits-{n}", f"other-{n}", n) for n in range(7)]
    assert line_of(*busy, *waiting).take_place(f"waits-{position}") == rounds

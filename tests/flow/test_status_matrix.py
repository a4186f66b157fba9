"""What can happen to a recording, played on the whole system: what LiveKit and the status say, what is kept.

The rows that concern one recording are played at the same time on one install; those that concern workers or
the server one after the other on a second one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from replay_operator.domain.status_contract import BufferState
from tests.flow.matrix_rows import EGRESS_ROWS, FLEET_ROWS, ROWS, SOURCE_ROWS, Row, as_table
from tests.flow.matrix_stage import Stage, watched
from tests.livekit_double.timing import Timing, timing_from
from tests.stack.images import CHECKOUT, stack_images
from tests.stack.stack import Stack
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

# Waits of LiveKit that are not the point of a row. What decides a row stays as it was measured.
SHORTER = {
    "no_worker_seconds": 2.0,
    "unknown_track_seconds": 4.0,
    "publisher_lost_seconds": 6.0,
    "worker_lost_seconds": 4.0,
}
SETTINGS = {"REPLAY_LIVEKIT_POLL_SECONDS": "1", "REPLAY_BUFFERS_PER_WORKER": "32"}
ROW_SECONDS = 280.0
DOCUMENT = CHECKOUT / "docs" / "status-matrix.md"

Played = dict[str, Future[None]]


@pytest.fixture(scope="module")
def played(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """All rows, being played."""
    kubectl = control_plane_binaries.kubectl
    directory = tmp_path_factory.mktemp("node")
    with ExitStack() as resources:
        plane = resources.enter_context(ControlPlane(control_plane_binaries))
        node = resources.enter_context(NodeStandIn(plane.kubeconfig, directory, stack_images()))
        stacks = [_installed(plane, node, name) for name in ("recordings", "fleet")]
        # Entered before the watches: on the way out they end first, and with them the rows that still wait.
        threads = resources.enter_context(ThreadPoolExecutor(len(ROWS)))
        recordings, fleet = [_ready_stage(stack, kubectl, resources) for stack in stacks]
        _make_room(recordings)
        results: Played = {
            row.name: threads.submit(row.play, recordings) for row in SOURCE_ROWS + EGRESS_ROWS
        }
        results |= {row.name: Future() for row in FLEET_ROWS}
        threads.submit(_play_in_turn, FLEET_ROWS, fleet, results)
        yield results


def _installed(plane: ControlPlane, node: NodeStandIn, name: str) -> Stack:
    stack = Stack(plane, node, name)
    overrides = ", ".join(f'"{delay}": {seconds}' for delay, seconds in SHORTER.items())
    stack.install(rooms={}, timing={"LIVEKIT_DOUBLE_TIMING": f"{{{overrides}}}"}, settings=SETTINGS)
    return stack


def _ready_stage(stack: Stack, kubectl: Path, resources: ExitStack) -> Stage:
    for deployment in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
        stack.wait_until_available(deployment)
    return Stage(stack, resources.enter_context(watched(stack, kubectl)))


def _make_room(stage: Stage) -> None:
    """Lets every row of an install record at once: the point is not where."""
    stage.wait_for("two workers", lambda: len(stage.admin.get("workers")) == 2)
    for worker in stage.admin.get("workers"):
        stage.admin.post(f"workers/{worker['worker_id']}/capacity", {"capacity": 2 * len(ROWS)})


def _play_in_turn(rows: Sequence[Row], stage: Stage, results: Played) -> None:
    for row in rows:
        try:
            _clear(stage)
            row.play(stage)
        except BaseException as error:  # noqa: BLE001 - the test of the row raises it again
            results[row.name].set_exception(error)
        else:
            results[row.name].set_result(None)


def _clear(stage: Stage) -> None:
    """Lets a row find an idle fleet."""
    stage.stack.kubectl("delete", "rb", "--all")
    stage.wait_for("an idle fleet", lambda: _is_idle(stage))


def _is_idle(stage: Stage) -> bool:
    workers = stage.admin.get("workers")
    return len(workers) == 2 and not any(w["draining"] for w in workers)


@pytest.mark.cluster
@pytest.mark.timeout(2 * ROW_SECONDS)
@pytest.mark.parametrize("name", [row.name for row in ROWS], ids=lambda name: name.replace(" ", "-"))
def test_the_status_says_what_happened_and_what_is_recorded_stays(name: str, played: Played) -> None:
    played[name].result(timeout=ROW_SECONDS)


def test_the_document_shows_the_rows_that_are_played() -> None:
    assert as_table() in DOCUMENT.read_text(), f"put this table into {DOCUMENT.name}:\n{as_table()}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_row_names_only_reasons_that_there_are(row: Row) -> None:
    named = set(re.findall(r"\b[A-Z]\w+", row.status)) - {"LiveKit"}
    assert named
    assert named <= {state.value for state in BufferState}


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_waits_are_only_ever_shortened() -> None:
    shorter, measured = timing_from(SHORTER), Timing()
    assert all(getattr(shorter, name) < getattr(measured, name) for name in SHORTER)

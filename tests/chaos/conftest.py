"""An install of its own for the chaos suite, and the table at the end.

    python -m pytest tests/chaos --chaos-faults=200 --chaos-seed=7 --chaos-outage=300

`REPLAY_CHAOS_FAULTS`, `REPLAY_CHAOS_SEED` and `REPLAY_CHAOS_OUTAGE` say the same where the options are not
known: pytest knows options only of the directories that are named on its command line. The install ends
with the package: its recordings would go on beside the tests of others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.chaos.bed import running_scene
from tests.chaos.bounds import RECORDS_ON
from tests.chaos.calm import wait_until_calm
from tests.chaos.executor import Executor
from tests.chaos.ledger import Episode, FailOver, fail_over_table, table
from tests.chaos.plan import Plan, make_plan
from tests.chaos.scene import Scene
from tests.testbed.api_front import ApiFrontInThread, serving_in_a_thread
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane

BUFFERS = 6
_FAULTS = 40
_SEED = 1
_OUTAGE_SECONDS = 20.0
"""Longer than a leader believes in itself (8 s) and than a Lease lasts (12 s)."""

_episodes = pytest.StashKey[list[Episode]]()
_fail_overs = pytest.StashKey[list[FailOver]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-faults", type=int, default=None, help=f"number of faults, default {_FAULTS}")
    group.addoption(
        "--chaos-outage",
        type=float,
        default=None,
        help=f"seconds of an outage, default {_OUTAGE_SECONDS:.0f}",
    )
    group.addoption("--chaos-seed", type=int, default=None, help=f"seed of the plan, default {_SEED}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each fault that comes alone, and each storm, a test of its own."""
    plan, seed = _plan(metafunc.config)
    alone = {
        "harmless": [fault for fault in plan.singles if fault.kind in RECORDS_ON],
        "costly": [fault for fault in plan.singles if fault.kind not in RECORDS_ON],
    }
    for name, faults in alone.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, faults, ids=[fault.kind.value for fault in faults])
    if "storm" in metafunc.fixturenames:
        ids = [f"seed-{seed}-{number}" for number in range(len(plan.storms))]
        metafunc.parametrize("storm", plan.storms, ids=ids)


def _plan(config: pytest.Config) -> tuple[Plan, int]:
    faults = config.getoption("chaos_faults", None)
    seed = config.getoption("chaos_seed", None)
    faults = int(os.environ.get("REPLAY_CHAOS_FAULTS", _FAULTS)) if faults is None else faults
    seed = int(os.environ.get("REPLAY_CHAOS_SEED", _SEED)) if seed is None else seed
    return make_plan(seed=seed, faults=faults), seed


@pytest.fixture(scope="package")
def plane(control_plane_binaries: ControlPlaneBinaries) -> Iterator[ControlPlane]:
    """A control plane of our own: it is killed and frozen."""
    with ControlPlane(control_plane_binaries) as made:
        yield made


@pytest.fixture(scope="package")
def front(plane: ControlPlane) -> Iterator[ApiFrontInThread]:
    """What stands between the operator and the API server. Everybody else goes straight to it."""
    with serving_in_a_thread(plane) as made:
        yield made


@pytest.fixture(scope="package")
def scene(
    plane: ControlPlane, front: ApiFrontInThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Six small buffers that record."""
    with running_scene(plane, front, tmp_path_factory.mktemp("node"), buffers=BUFFERS) as made:
        yield made


@pytest.fixture(scope="package")
def executor(scene: Scene, front: ApiFrontInThread) -> Executor:
    return Executor(scene, front)


@pytest.fixture
def whole(scene: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene; what a test leaves broken is made anew, so that one failure is counted once."""
    failed_before = request.session.testsfailed
    yield scene
    if request.session.testsfailed > failed_before:
        scene.start_over()
        scene.close_account(wait_until_calm(scene).at_ns)


@pytest.fixture(scope="package")
def episodes(pytestconfig: pytest.Config) -> list[Episode]:
    """What is shown at the end."""
    return pytestconfig.stash.setdefault(_episodes, [])


@pytest.fixture(scope="package")
def fail_overs(pytestconfig: pytest.Config) -> list[FailOver]:
    """What is shown at the end."""
    return pytestconfig.stash.setdefault(_fail_overs, [])


@pytest.fixture(scope="package")
def outage_seconds(pytestconfig: pytest.Config) -> float:
    """How long the long outages last."""
    seconds: float | None = pytestconfig.getoption("chaos_outage", None)
    return float(os.environ.get("REPLAY_CHAOS_OUTAGE", _OUTAGE_SECONDS)) if seconds is None else seconds


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables."""
    if found := config.stash.get(_episodes, []):
        terminalreporter.section(f"source time lost ({BUFFERS} buffers)")
        for line in table(found):
            terminalreporter.line(line)
    if changes := config.stash.get(_fail_overs, []):
        terminalreporter.section("fail-over")
        for line in fail_over_table(changes):
            terminalreporter.line(line)

"""An install of its own for the chaos suite, and the table at the end.

    python -m pytest tests/chaos --chaos-faults=200 --chaos-seed=7

`REPLAY_CHAOS_FAULTS` and `REPLAY_CHAOS_SEED` say the same where the options are not known: pytest knows
options only of the directories that are named on its command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.chaos.calm import wait_until_calm
from tests.chaos.executor import Executor
from tests.chaos.ledger import Episode, table
from tests.chaos.plan import Plan, make_plan
from tests.chaos.scene import Scene
from tests.stack.images import stack_images
from tests.stack.stack import Stack
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

BUFFERS = 6
_FAULTS = 40
_SEED = 1

# As long as the real server takes to refuse (livekit-measured §3): here it counts who waits for that.
_TIMING = {"LIVEKIT_DOUBLE_TIMING": '{"stop_refusal_seconds": 3.0}'}

_episodes = pytest.StashKey[list[Episode]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-faults", type=int, default=None, help=f"number of faults, default {_FAULTS}")
    group.addoption("--chaos-seed", type=int, default=None, help=f"seed of the plan, default {_SEED}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each fault that comes alone, and each storm, a test of its own."""
    if not {"fault", "storm"} & set(metafunc.fixturenames):
        return
    plan, seed = _plan(metafunc.config)
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize("fault", plan.singles, ids=[fault.kind.value for fault in plan.singles])
    else:
        ids = [f"seed-{seed}-{number}" for number in range(len(plan.storms))]
        metafunc.parametrize("storm", plan.storms, ids=ids)


def _plan(config: pytest.Config) -> tuple[Plan, int]:
    faults = config.getoption("chaos_faults", None)
    seed = config.getoption("chaos_seed", None)
    faults = int(os.environ.get("REPLAY_CHAOS_FAULTS", _FAULTS)) if faults is None else faults
    seed = int(os.environ.get("REPLAY_CHAOS_SEED", _SEED)) if seed is None else seed
    return make_plan(seed=seed, faults=faults), seed


@pytest.fixture(scope="session")
def scene(
    control_plane_binaries: ControlPlaneBinaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """Six small buffers that record."""
    with (
        ControlPlane(control_plane_binaries) as plane,
        NodeStandIn(plane.kubeconfig, tmp_path_factory.mktemp("node"), stack_images()) as node,
    ):
        stack = Stack(plane, node, "chaos")
        stack.install(rooms={}, timing=_TIMING, settings={"REPLAY_LIVEKIT_POLL_SECONDS": "1"})
        for deployment in ("livekit", "replay-operator", "replay-agent", "livekit-egress"):
            stack.wait_until_available(deployment)
        scene = Scene(stack, buffers=BUFFERS)
        scene.close_account(wait_until_calm(scene).at_ns)  # what a start costs is on no fault's account
        yield scene


@pytest.fixture(scope="session")
def executor(scene: Scene) -> Executor:
    return Executor(scene)


@pytest.fixture
def whole(scene: Scene, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene; what a test leaves broken is made anew, so that one failure is counted once."""
    failed_before = request.session.testsfailed
    yield scene
    if request.session.testsfailed > failed_before:
        scene.start_over()
        scene.close_account(wait_until_calm(scene).at_ns)


@pytest.fixture(scope="session")
def episodes(pytestconfig: pytest.Config) -> list[Episode]:
    """What is shown at the end."""
    return pytestconfig.stash.setdefault(_episodes, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    if found := config.stash.get(_episodes, []):
        terminalreporter.section(f"source time lost ({BUFFERS} buffers)")
        for line in table(found):
            terminalreporter.line(line)

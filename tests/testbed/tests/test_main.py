import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.tests.process_state import is_running, running_after_deadline

pytestmark = pytest.mark.cluster

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def cluster(control_plane_binaries: ControlPlaneBinaries) -> Iterator[subprocess.Popen[str]]:
    """`python -m tests.testbed up --no-node`, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.testbed", "up", "--no-node"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cluster_started_by_hand_leaves_no_process(
    cluster: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert cluster.stdout is not None
    announced = cluster.stdout.readline()
    assert announced.startswith("export KUBECONFIG=")
    directory = Path(announced.strip().partition("=")[2]).parent
    pids = [int(line.split()[0]) for line in (directory / "processes" / "pids").read_text().splitlines()]
    assert len(pids) == 4
    assert all(map(is_running, pids))

    cluster.send_signal(number)
    assert cluster.wait(timeout=60) == (-number if number == signal.SIGKILL else 128 + number)
    assert running_after_deadline(pids) == []
    assert directory.exists() == (number == signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)

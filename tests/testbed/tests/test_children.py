import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testbed.children import Children
from tests.testbed.tests.process_state import is_running, running_after_deadline

REPOSITORY = Path(__file__).parents[3]

# Starts a child in a thread that ends at once, writes the child's id, and waits for ever.
PARENT = """
import sys, threading
from pathlib import Path
from tests.testbed.children import Children
children = Children(Path(sys.argv[1]))
thread = threading.Thread(target=children.start, args=("child", ["sleep", "1000"]))
thread.start()
thread.join()
print(children.pids["child"], flush=True)
threading.Event().wait()
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true within 30 s"
        time.sleep(0.02)


def test_a_child_runs_in_its_own_session_and_stop_ends_it(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        pid = children.start("sleeper", ["sleep", "1000"]).pid
        assert os.getsid(pid) == pid
        assert (tmp_path / "pids").read_text() == f"{pid} sleeper\n"
    assert not is_running(pid)


def test_output_of_a_child_goes_to_its_log(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        assert children.start("talker", ["sh", "-c", "echo out; echo err >&2"]).wait(timeout=30) == 0
        assert children.log("talker").read_text() == "out\nerr\n"
        assert children.log_tail("talker", lines=1) == "err"


def test_a_child_that_ended_by_itself_is_named_with_its_exit_code(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("sleeper", ["sleep", "1000"])
        children.start("failing", ["sh", "-c", "exit 7"]).wait(timeout=30)
        assert children.ended() == ["failing (exit code 7)"]


def test_two_children_of_one_name_are_refused(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("twin", ["true"])
        with pytest.raises(ValueError, match="twin was started before"):
            children.start("twin", ["true"])


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    children = Children(tmp_path)
    pid = children.start("deaf", ["sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 1; done']).pid
    wait_until(lambda: children.log("deaf").read_text() == "ready\n")
    children.stop(grace_seconds=0.2)
    assert not is_running(pid)


def test_stop_also_ends_what_a_child_started(tmp_path: Path) -> None:
    children = Children(tmp_path)
    children.start(
        "family", ["sh", "-c", 'sh -c "trap \\"\\" TERM; while :; do sleep 1; done" & echo $!; wait']
    )
    wait_until(lambda: children.log("family").read_text().endswith("\n"))
    grandchild = int(children.log("family").read_text())
    assert is_running(grandchild)
    children.stop(grace_seconds=0.2)
    assert running_after_deadline([grandchild]) == []


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)
    parent.kill()
    parent.communicate()
    assert running_after_deadline([child]) == []


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        thread = threading.Thread(target=children.start, args=("child", ["sleep", "1000"]))
        thread.start()
        thread.join()
        # A signal that follows the thread's end would be there by the time another child has come and gone.
        children.start("other", ["true"]).wait(timeout=30)
        assert children.ended() == ["other (exit code 0)"]


def test_a_child_whose_parent_died_before_letting_it_go_runs_nothing(tmp_path: Path) -> None:
    dies_halfway = PARENT.replace(
        "thread = ",
        "import os, signal, tests.testbed.children as module\n"
        "module._write_line = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nthread = ",
    ).replace('["sleep", "1000"]', '["touch", sys.argv[1] + "/ran"]')
    parent = subprocess.run([sys.executable, "-c", dies_halfway, tmp_path], cwd=REPOSITORY, check=False)
    assert parent.returncode == -signal.SIGKILL
    log = tmp_path / "child.log"
    wait_until(lambda: not any(is_open_by(pid, log) for pid in process_ids()))
    assert not (tmp_path / "ran").exists()


def process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def is_open_by(pid: int, file: Path) -> bool:
    try:
        return any(link.readlink() == file for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # the process has ended meanwhile, or is not ours to look into
        return False


def test_a_child_that_was_killed_starts_again_as_it_was_and_its_log_goes_on(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        first = children.start("counter", ["sh", "-c", "echo $WHO; exec sleep 1000"], env={"WHO": "me"}).pid
        wait_until(lambda: children.log("counter").read_text() == "me\n")
        children.kill("counter")
        assert not is_running(first)
        assert children.ended() == []
        second = children.start_again("counter").pid
        assert dict(children.pids) == {"counter": second}
        wait_until(lambda: children.log("counter").read_text() == "me\nme\n")
    assert not is_running(second)


def test_a_child_that_still_runs_is_not_started_again(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("sleeper", ["sleep", "1000"])
        with pytest.raises(ValueError, match="was not killed"):
            children.start_again("sleeper")

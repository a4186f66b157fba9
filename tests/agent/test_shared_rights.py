"""Agent and egress are two users of one group: each can do its part, and the agent can delete (§6.2)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from replay_operator.agent.ownership import VolumeLock
from replay_operator.agent.volume import Volume
from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import RunPath

AGENT_UID, EGRESS_UID, SHARED_GID = 65532, 1001, 0
PATH = RunPath("team-a", "uid-1", "run-1")
RUN_FILE = RunFile(room="standup", buffer="alice", segment_seconds=2)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become the users of agent and egress"
)


@pytest.fixture
def shared_volume() -> Iterator[Path]:
    """A volume as fsGroup makes it. Not below tmp_path, which only its owner may enter."""
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name)
        os.chown(volume, 0, SHARED_GID)
        volume.chmod(0o2775)
        yield volume


def as_user(uid: int, work: Callable[[], object]) -> None:
    """Do something in a child process that is another user without any capability."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(SHARED_GID)
            os.setuid(uid)
            os.umask(0o022)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_egress_writes_where_the_agent_made_the_directory_and_the_agent_deletes_it(
    shared_volume: Path,
) -> None:
    volume = Volume(shared_volume)
    run = volume.directory(PATH)

    def write_as_egress() -> None:
        for name in ("seg_00000.ts", "index.m3u8", "EG_a.json"):
            (run / name).write_bytes(b"\x47" * 188)

    def delete_as_agent() -> None:
        assert volume.remove_segments(PATH, [0]).gone == {0}
        volume.remove_run(PATH)
        volume.remove_buffer(PATH.buffer)

    as_user(AGENT_UID, lambda: volume.make_run(PATH, RUN_FILE))
    as_user(EGRESS_UID, write_as_egress)
    as_user(AGENT_UID, lambda: volume.make_run(PATH, RUN_FILE.model_copy(update={"egress_id": "EG_a"})))
    as_user(AGENT_UID, delete_as_agent)

    assert list(shared_volume.iterdir()) == []


def test_another_uid_of_the_same_group_can_take_over_as_the_agent(shared_volume: Path) -> None:
    # OpenShift gives a namespace its own uid; a restored volume then belongs to another one.
    volume = Volume(shared_volume)
    as_user(AGENT_UID, lambda: (VolumeLock(shared_volume).try_acquire(), volume.make_run(PATH, RUN_FILE)))

    def take_over() -> None:
        lock = VolumeLock(shared_volume)
        assert lock.try_acquire()
        assert lock.confirm()
        volume.make_run(PATH, RUN_FILE.model_copy(update={"egress_id": "EG_b"}))

    as_user(1000650000, take_over)

    stored = volume.read_run_file(PATH)
    assert stored is not None
    assert stored.egress_id == "EG_b"

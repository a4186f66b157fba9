"""The run directory must exist, and be writable for egress, before an egress starts (DESIGN §6.2)."""

from __future__ import annotations

import json
import os
import stat

import pytest

from tests.agent.rig import BUFFER, RUN, T0_NS, Rig, run_file


@pytest.fixture
def strict_umask() -> object:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
async def test_egress_may_write_in_the_run_directory_and_its_parents_whatever_the_umask_is(rig: Rig) -> None:
    os.chown(rig.volume, -1, _other_group())
    rig.volume.chmod(0o2775)

    writer = await rig.put_run()

    for directory in (writer.directory, writer.directory.parent, writer.directory.parent.parent):
        status = directory.stat()
        assert stat.S_IMODE(status.st_mode) == 0o2775
        assert status.st_gid == rig.volume.stat().st_gid
    assert stat.S_IMODE((writer.directory / "run.json").stat().st_mode) == 0o664


def _other_group() -> int:
    # Root may give a directory to any group, anybody else only to one of their own.
    return 54321 if os.geteuid() == 0 else os.getgroups()[-1]


async def test_run_json_holds_what_was_put(rig: Rig) -> None:
    writer = await rig.put_run(videoTrack="TR_V")

    stored = json.loads((writer.directory / "run.json").read_text())

    assert stored == run_file(videoTrack="TR_V")
    assert sorted(p.name for p in writer.directory.iterdir()) == ["run.json"]


async def test_a_later_put_adds_and_never_loses_what_was_known(rig: Rig) -> None:
    path = f"/v1/runs/{BUFFER}/{RUN}"
    first = await rig.put(path, run_file(mediaStartedAtNs=None, egressId=None))
    second = await rig.put(path, run_file(egressId=None))
    third = await rig.put(path, run_file(mediaStartedAtNs=None, egressId="EG_2"))

    assert [status for status, _ in (first, second, third)] == [200, 200, 200]
    assert third[1] == run_file(mediaStartedAtNs=T0_NS, egressId="EG_2")
    assert json.loads((rig.volume / BUFFER / RUN / "run.json").read_text()) == third[1]


async def test_a_directory_that_a_dying_agent_left_half_made_is_put_right(rig: Rig) -> None:
    left = rig.volume / BUFFER / RUN
    left.mkdir(parents=True)
    left.chmod(0o700)
    (left / "run.json").write_text("{")

    writer = await rig.put_run()

    assert stat.S_IMODE(left.stat().st_mode) == 0o2775
    assert json.loads((writer.directory / "run.json").read_text()) == run_file()


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs/..%2f..%2fetc/uid/run",
        "/v1/runs/ns/%2e%2e/run",
        "/v1/runs/ns/uid/.hidden",
        "/v1/runs/ns/uid/a%00b",
        "/v1/runs/.replay-agent/uid/run",
    ],
)
async def test_a_path_that_would_leave_the_volume_is_refused(rig: Rig, path: str) -> None:
    before = sorted(rig.volume.parent.rglob("*"))

    async with rig.client.put(path, json=run_file(), headers={"Authorization": "Bearer the-token"}) as answer:
        assert answer.status in (400, 404)

    assert sorted(rig.volume.parent.rglob("*")) == before


async def test_a_symbolic_link_on_the_way_is_refused(rig: Rig) -> None:
    outside = rig.volume.parent / "outside"
    outside.mkdir()
    (rig.volume / "team-a").symlink_to(outside)

    status, answer = await rig.put(f"/v1/runs/{BUFFER}/{RUN}", run_file())

    assert status == 500
    assert "buffer volume" in answer["error"]
    assert not list(outside.iterdir())


async def test_a_run_file_that_is_a_symbolic_link_is_refused(rig: Rig) -> None:
    secret = rig.volume.parent / "secret"
    secret.write_text(json.dumps(run_file(egressId="EG_SECRET")))
    writer = await rig.put_run()
    (writer.directory / "run.json").unlink()
    (writer.directory / "run.json").symlink_to(secret)

    status, answer = await rig.put(f"/v1/runs/{BUFFER}/{RUN}", run_file(egressId=None))

    assert status == 500
    assert "EG_SECRET" not in json.dumps(answer)
    assert json.loads(secret.read_text())["egressId"] == "EG_SECRET"


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"room": 1}'])
async def test_a_bad_run_file_is_refused_before_anything_is_made(rig: Rig, body: bytes) -> None:
    status, answer = await rig.put(f"/v1/runs/{BUFFER}/{RUN}", body)

    assert status == 400
    assert len(answer["error"].split()) > 3
    assert not (rig.volume / "team-a").exists()

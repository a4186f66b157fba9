"""One deleter per volume, and what survives a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.rig import Rig, buffer_policy, make_rig, policy


@pytest.fixture
async def second(rig: Rig, volume: Path, token_directory: Path, segments: list[Path]) -> AsyncIterator[Rig]:
    """Another agent on the same volume."""
    made = make_rig(volume, token_directory, segments, rig.clock)
    await made.start()
    yield made
    await made.stop()


async def test_a_second_agent_is_not_ready_takes_nothing_and_deletes_nothing(rig: Rig, second: Rig) -> None:
    (await rig.put_run()).record(12, ended=True)
    await second.agent.scan()
    status, answer = await second.put("/v1/policy", policy(buffer_policy()))
    second.clock.advance(3600)
    await second.agent.scan()
    await second.agent.maintain()

    assert status == 503
    assert "lock" in answer["error"]
    assert await second.ready() == (503, "another agent holds the lock of the buffer volume\n")
    assert second.files() == list(range(12))


async def test_the_second_agent_takes_over_when_the_first_ends(rig: Rig, second: Rig) -> None:
    await rig.put_policy(buffer_policy(), seq=9)
    await second.agent.scan()
    await rig.agent.close()
    await second.agent.scan()

    assert await second.ready() == (200, "ok\n")
    assert (await second.coverage())["seq"] == 9


async def test_an_agent_whose_lock_file_was_replaced_stops_deleting(rig: Rig, second: Rig) -> None:
    (await rig.put_run()).record(12, ended=True)
    await rig.agent.scan()
    (rig.volume / ".replay-agent" / "lock").unlink()
    await second.agent.scan()
    await rig.put_policy(buffer_policy())

    await rig.agent.maintain()

    assert rig.files() == list(range(12))
    assert (await rig.ready())[0] == 503
    assert (await second.ready())[0] == 200


async def test_a_restart_keeps_the_policy_and_refuses_older_ones(rig: Rig, second: Rig) -> None:
    assert (await rig.put("/v1/policy", policy(buffer_policy(), epoch=4, seq=9)))[0] == 200
    await rig.stop()
    await second.agent.scan()

    assert await second.put("/v1/policy", policy(epoch=4, seq=8)) == (409, {"epoch": 4, "seq": 9})


async def test_a_restart_keeps_the_highest_index_seen(rig: Rig, second: Rig) -> None:
    writer = await rig.put_run()
    writer.record(5)
    await rig.agent.scan()
    await rig.stop()
    writer.rewrite("")
    await second.agent.scan()

    run = await second.run_coverage()

    assert run is not None
    assert run["lastIndex"] == 4


async def test_a_restart_keeps_the_clock_of_a_run(rig: Rig, second: Rig) -> None:
    (await rig.put_run()).record(2)
    await rig.stop()
    await second.agent.scan()

    run = await second.run_coverage()

    assert run is not None
    assert run["clock"] == "StartedAt"


@pytest.mark.parametrize("name", ["policy.json", "highest-indices.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": "b"}'])
async def test_a_spoilt_state_file_does_not_stop_the_agent(
    rig: Rig, second: Rig, name: str, content: str
) -> None:
    await rig.put_policy(buffer_policy())
    await rig.stop()
    (rig.volume / ".replay-agent" / name).write_text(content)

    await second.agent.scan()

    assert (await second.ready())[0] == 200
    await second.put_policy(buffer_policy())


async def test_an_agent_on_a_volume_that_is_away_says_so_and_recovers(
    tmp_path: Path, token_directory: Path, segments: list[Path], rig: Rig
) -> None:
    away = tmp_path / "not-mounted"
    lonely = make_rig(away, token_directory, segments, rig.clock)
    await lonely.start()
    await lonely.agent.scan()
    status, reason = await lonely.ready()
    assert status == 503
    assert "not-mounted" in reason

    away.mkdir()
    await lonely.agent.scan()
    assert (await lonely.ready())[0] == 200
    await lonely.stop()

"""`replay-operator capture-room`: one moment from all buffers of a room."""

from __future__ import annotations

from typing import Any

import pytest

from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cli import capture_room as command
from replay_operator.cli.capture_room import MOMENT_LABEL, capture_body, capture_room
from replay_operator.cluster.resources import BUFFERS, CAPTURES
from tests.builders import NAMESPACE, buffer_body
from tests.contract.fake_cluster import FakeCluster

TEMPLATE = {"range": {"between": {"start": "2026-11-23T12:00:00.000Z", "end": "2026-11-23T12:05:00.000Z"}}}


@pytest.fixture
def cluster() -> FakeCluster:
    """Two buffers of the room standup, and one of another."""
    made = FakeCluster()
    for name, room in (("bob-screen", "standup"), ("alice-screen", "standup"), ("carol", "retro")):
        made.add(BUFFERS, buffer_body(name=name, uid=f"uid-{name}", room=room))
    return made


def made_captures(cluster: FakeCluster) -> dict[str, dict[str, Any]]:
    return {body["metadata"]["name"]: body for body in cluster.all_of(CAPTURES)}


async def test_each_buffer_of_the_room_gets_a_capture_over_the_same_range(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await capture_room(cluster, NAMESPACE, "standup", "goal", TEMPLATE) == 0
    made = made_captures(cluster)
    assert capsys.readouterr().out.splitlines() == ["goal-alice-screen", "goal-bob-screen"]
    assert set(made) == {"goal-alice-screen", "goal-bob-screen"}
    assert {body["spec"]["bufferRef"]["name"] for body in made.values()} == {"alice-screen", "bob-screen"}
    assert [body["spec"]["range"] for body in made.values()] == [TEMPLATE["range"]] * 2
    assert {body["metadata"]["labels"][MOMENT_LABEL] for body in made.values()} == {"goal"}


async def test_a_room_without_a_buffer_is_told(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await capture_room(cluster, NAMESPACE, "nobody", "goal", TEMPLATE) == 1
    assert "no ReplayBuffer of room 'nobody'" in capsys.readouterr().err


async def test_one_capture_that_cannot_be_made_does_not_cost_the_others(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.add(CAPTURES, {"metadata": {"name": "goal-alice-screen", "namespace": NAMESPACE}})
    assert await capture_room(cluster, NAMESPACE, "standup", "goal", TEMPLATE) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == ["goal-bob-screen"]
    assert "goal-alice-screen" in said.err


def test_names_fit_however_long_the_buffers_is() -> None:
    names = {capture_body(f"{'b' * 250}.{n}", "goal", TEMPLATE)["metadata"]["name"] for n in range(3)}
    assert len(names) == 3
    assert max(map(len, names)) <= 253


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--last", "60", "--start", "2026-01-31T12:00:00Z"],
        ["--start", "2026-01-31T12:00:00Z"],
        ["--start", "2026-01-31T12:00:00Z", "--end", "2026-01-31T12:00:00Z"],
        ["--start", "2026-01-31T12:00:00", "--end", "2026-01-31T13:00:00"],
        ["--last", "60", "--name", "Not a name"],
        ["--last", "60", "--name", "n" * 64],
        ["--last", "60", "--trim", "Roughly"],
    ],
)
def test_a_command_line_without_one_clear_range_is_refused(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["standup", *flags])
    assert ended.value.code == 2
    assert "usage: replay-operator capture-room" in capsys.readouterr().err


@pytest.fixture
def connected(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """The command line reaches this cluster."""

    async def connect(_: object) -> FakeCluster:
        return cluster

    async def close(_: object) -> None:
        return

    monkeypatch.setattr(command.KubernetesGateway, "connect", connect)
    monkeypatch.setattr(FakeCluster, "close", close)
    return cluster


def test_the_flags_become_the_captures(connected: FakeCluster) -> None:
    flags = ["--start", "2026-11-23T13:00:00+01:00", "--end", "2026-11-23T12:01:00.250Z", "-n", NAMESPACE]
    flags += ["--name", "goal-3", "--title", "Third goal", "--tail", "Skip", "--ttl", "60"]
    assert command.main(["standup", *flags, "--deletion-policy", "Delete"]) == 0
    body = made_captures(connected)["goal-3-alice-screen"]
    body["metadata"] |= {"creationTimestamp": "2026-11-23T12:02:00Z"}
    spec = ReplayCapture.model_validate(body).spec.to_wire()
    assert spec["range"]["between"] == {
        "start": "2026-11-23T12:00:00Z",
        "end": "2026-11-23T12:01:00.250000Z",
    }
    assert (spec["tail"], spec["deletionPolicy"], spec["ttlSecondsAfterFinished"]) == ("Skip", "Delete", 60)
    assert spec["output"]["title"] == "Third goal"


def test_without_a_name_it_is_the_room_and_the_time(
    connected: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    connected.add(BUFFERS, buffer_body(name="dave", uid="uid-dave", room="Room 7 / Süd"))
    assert command.main(["Room 7 / Süd", "--last", "30", "--post-roll", "5", "-n", NAMESPACE]) == 0
    (name,) = capsys.readouterr().out.split()
    assert name.startswith("room-7-s-d-20")
    assert name.endswith("-dave")
    asked = ReplayCapture.model_validate(
        made_captures(connected)[name]
        | {
            "metadata": made_captures(connected)[name]["metadata"]
            | {"creationTimestamp": "2026-11-23T12:02:00Z"}
        }
    ).spec.range.between
    assert asked is not None
    assert (asked.end - asked.start).total_seconds() == 35

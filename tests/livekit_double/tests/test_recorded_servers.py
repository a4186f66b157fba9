"""Holds the double against every livekit-server that was recorded: the same questions, the same answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from livekit import api

from tests.livekit.questions import QUESTIONS, Standup, answer_to
from tests.livekit.recording import RECORDED_SERVERS
from tests.livekit_double.fixtures import DoubleInProcess

VERSIONS = sorted(path.stem for path in RECORDED_SERVERS.glob("*.jsonl"))


@pytest.fixture
async def standup(livekit_double: DoubleInProcess) -> Standup:
    """The room of the recordings, at the double; and no worker, as there."""
    for worker in livekit_double.workers:
        await worker.die()
    livekit_double.rooms.join("standup", "alice", ("SCREEN_SHARE", "MICROPHONE"))
    livekit_double.rooms.mute("standup", livekit_double.rooms.track_sid("standup", "alice", "MICROPHONE"))
    video = livekit_double.rooms.track_sid("standup", "alice", "SCREEN_SHARE")
    return Standup("standup", video, livekit_double.api_key, livekit_double.api_secret)


def what_matters(row: dict[str, Any]) -> Any:
    """All of an error; of an answer what the operator reads."""
    if "error" in row:
        return row["error"]
    told = row["answer"]
    return {
        "items": told.get("items", []),
        "rooms": [(room["name"], room.get("num_participants")) for room in told.get("rooms", [])],
        "people": [
            (
                person["identity"],
                person.get("kind"),
                sorted(
                    (track["source"], track.get("type"), track.get("muted", False), track["sid"][:4])
                    for track in person.get("tracks", [])
                ),
            )
            for person in told.get("participants", [])
        ],
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_double_answers_like_the_server(
    version: str, standup: Standup, client: api.LiveKitAPI
) -> None:
    lines = (RECORDED_SERVERS / f"{version}.jsonl").read_text().splitlines()
    recorded = {row["question"]: what_matters(row) for row in map(json.loads, lines)}
    answered = {
        name: what_matters(await answer_to(question, client, standup)) for name, question in QUESTIONS.items()
    }
    assert answered == recorded

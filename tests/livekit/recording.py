"""Writes down what a real livekit-server answers, for `tests/data/livekit/servers`. Needs root for a network.

LIVEKIT_SERVER_VERSION=v1.11.0 python -m tests.livekit.recording
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from livekit.api import LiveKitAPI

from tests.livekit.questions import QUESTIONS, Standup, answer_to
from tests.livekit.server import (
    API_KEY,
    API_SECRET,
    URL,
    LiveKitServer,
    new_link_or_skip,
    running_livekit_server,
)
from tests.real.people import Door, Publisher
from tests.testbed.binaries import livekit_server_version

RECORDED_SERVERS = Path(__file__).parents[1] / "data" / "livekit" / "servers"


async def _answers(server: LiveKitServer, standup: Standup) -> list[dict[str, Any]]:
    async with server.session() as session:
        api = LiveKitAPI(URL, API_KEY, API_SECRET, session=session, failover=False)
        rows = []
        for name, question in QUESTIONS.items():
            rows.append({"question": name, **await answer_to(question, api, standup)})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        return rows


def main() -> None:
    """Run one server, let somebody publish, ask everything."""
    version = livekit_server_version(os.environ)
    with (
        running_livekit_server(new_link_or_skip()) as server,
        tempfile.TemporaryDirectory() as directory,
        Publisher(Door(server.media_url, API_KEY, API_SECRET), "standup", "alice", Path(directory)) as alice,
    ):
        video = alice.publish("SCREEN_SHARE")
        alice.publish("MICROPHONE")
        alice.mute("MICROPHONE")
        rows = asyncio.run(_answers(server, Standup("standup", video, API_KEY, API_SECRET)))
    lines = [json.dumps(row, sort_keys=True) + "\n" for row in rows]
    (RECORDED_SERVERS / f"{version}.jsonl").write_text("".join(lines))


if __name__ == "__main__":
    main()

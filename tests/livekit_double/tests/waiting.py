"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livekit import api
from livekit.protocol import egress

from tests.livekit_double.tests.recordings import as_recorded, normalised

_POLL_SECONDS = 0.01


async def until(condition: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
    """Polls until `condition` holds; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        await asyncio.sleep(_POLL_SECONDS)


async def segments_in(directory: Path, count: int) -> list[Path]:
    """Waits until `count` segments are complete, that is listed; returns all files in order."""
    await until(lambda: _listed(directory) >= count, f"{count} segments in {directory}")
    return segments_now(directory)


def _listed(directory: Path) -> int:
    playlist = directory / "index.m3u8"
    return playlist.read_text().count(".ts") if playlist.exists() else 0


def segments_now(directory: Path) -> list[Path]:
    """The segments that a directory holds now, in order."""
    return sorted(directory.glob("*.ts"))


async def info_of(client: api.LiveKitAPI, egress_id: str) -> egress.EgressInfo:
    """One egress, by ListEgress."""
    answer = await client.egress.list_egress(egress.ListEgressRequest(egress_id=egress_id))
    return answer.items[0]


async def reaches(
    client: api.LiveKitAPI, egress_id: str, status: egress.EgressStatus, seconds: float = 15.0
) -> egress.EgressInfo:
    """Waits until an egress has a status; returns its record."""
    deadline = time.monotonic() + seconds
    while (info := await info_of(client, egress_id)).status != status:
        assert time.monotonic() < deadline, f"{egress_id} is {info.status}, not {status}, after {seconds} s"
        await asyncio.sleep(_POLL_SECONDS)
    return info


class StatusHistory:
    """Every change that ListEgress shows of one egress, normalised as the recordings are."""

    def __init__(self, client: api.LiveKitAPI, egress_id: str) -> None:
        self._client = client
        self._egress_id = egress_id
        self.changes: list[Any] = []
        self._task = asyncio.create_task(self._watch())

    async def until_over(self) -> list[Any]:
        """Waits for an end state; returns all changes."""
        await asyncio.wait_for(self._task, 20)
        return self.changes

    async def _watch(self) -> None:
        last: egress.EgressInfo | None = None
        while last is None or last.status < egress.EgressStatus.EGRESS_COMPLETE:
            info = await info_of(self._client, self._egress_id)
            if info != last:
                self.changes.append(normalised(as_recorded(info)))
                last = info
            await asyncio.sleep(_POLL_SECONDS)

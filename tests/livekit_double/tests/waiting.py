"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from livekit import api
from livekit.protocol import egress

from tests.livekit_double.fixtures import DoubleInProcess
from tests.livekit_double.tests.recordings import as_recorded, normalised

_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 60.0


async def until(condition: Callable[[], bool], what: str, seconds: float = _PATIENCE_SECONDS) -> None:
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
    client: api.LiveKitAPI, egress_id: str, status: egress.EgressStatus, seconds: float = _PATIENCE_SECONDS
) -> egress.EgressInfo:
    """Waits until an egress has a status; returns its record."""
    deadline = time.monotonic() + seconds
    while (info := await info_of(client, egress_id)).status != status:
        assert time.monotonic() < deadline, f"{egress_id} is {info.status}, not {status}, after {seconds} s"
        await asyncio.sleep(_POLL_SECONDS)
    return info


class StatusHistory:
    """Every change of every egress from now on, normalised as the recordings are.

    From the records themselves, because who only asks again and again misses what is short.
    """

    def __init__(self, double: DoubleInProcess) -> None:
        self._seen: dict[str, list[Any]] = defaultdict(list)
        for info in double.server.records.select():
            self._note(info)
        double.server.records.listen(lambda info, _new: self._note(info))

    async def until_over(self, client: api.LiveKitAPI, egress_id: str) -> list[Any]:
        """Waits until ListEgress shows an end state, which is the last of all changes; returns these."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while (info := await info_of(client, egress_id)).status < egress.EgressStatus.EGRESS_COMPLETE:
            assert time.monotonic() < deadline, f"{egress_id} is {info.status} after {_PATIENCE_SECONDS} s"
            await asyncio.sleep(_POLL_SECONDS)
        assert normalised(as_recorded(info)) == self._seen[egress_id][-1]
        return self._seen[egress_id]

    def _note(self, info: egress.EgressInfo) -> None:
        change = normalised(as_recorded(info))
        if self._seen[info.egress_id][-1:] != [change]:
            self._seen[info.egress_id].append(change)

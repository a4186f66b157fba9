"""What viewers of each buffer were told, so that the next playlist goes on from there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cachetools import TTLCache

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.preview.shown_runs import ShownRuns
from replay_operator.agent.scan import Scanner
from replay_operator.agent.state import LIVE_SECONDS, RunState
from replay_operator.domain.preview_playlist import PlaylistKind, media_playlist
from replay_operator.domain.preview_window import PreviewRun, PreviewWindow, carried_on
from replay_operator.media.run_clock import unix_ns

MOST_BUFFERS = 1000
KEPT_SECONDS = 600.0
"""A player in a hidden tab asks once a minute."""


_QUERY = "\0"
"""Stands in the shared playlist for what lets one viewer in."""


@dataclass(frozen=True, slots=True)
class _Told:
    """One look at a buffer. `live` is the whole playlist: 4000 segments take 50 ms to write."""

    scanned_at: datetime | None
    runs: tuple[PreviewRun, ...]
    window: PreviewWindow | None
    live: str | None


class PreviewBook:
    """Makes playlists from what the scan knows. All viewers of a buffer share one look at it."""

    def __init__(self, scanner: Scanner, runs: ShownRuns, clock: AgentClock) -> None:
        """Begin without a viewer.

        Args:
            scanner: Knows what lies on the volume.
            runs: Tells what of it is shown.
            clock: Tells the time.
        """
        self._scanner = scanner
        self._runs = runs
        self._clock = clock
        self._told: TTLCache[str, _Told] = TTLCache(MOST_BUFFERS, KEPT_SECONDS, clock.monotonic)
        # Two looks at once could carry the window on from the older one, and take back what was told.
        self._one = asyncio.Lock()

    def buffer_of(self, uid: str) -> str | None:
        """Give the directory of a buffer, relative to the volume; None when nothing of it is known.

        Args:
            uid: Of the ReplayBuffer.
        """
        return next((path for path in self._scanner.state.buffers if path.rpartition("/")[2] == uid), None)

    async def live(self, buffer: str, query: str) -> str | None:
        """Give the playlist of all that is there, None when that is nothing.

        Args:
            buffer: Its directory.
            query: Goes to the end of each address.
        """
        live = (await self._look(buffer)).live
        return live.replace(_QUERY, query) if live is not None else None

    async def part(self, buffer: str, start: datetime, end: datetime, query: str) -> str | None:
        """Give the playlist of a range, None when nothing of it is there.

        Args:
            buffer: Its directory.
            start: Where a player begins.
            end: Where the range ends; the last segment is shown whole.
            query: Goes to the end of each address.
        """
        told = await self._look(buffer)
        whole = carried_on(None, told.runs)
        window = whole.part(unix_ns(start), unix_ns(end)) if whole is not None else None
        if window is None:
            return None
        return media_playlist(window, PlaylistKind.RANGE, query=query, play_from_ns=unix_ns(start))

    async def _look(self, buffer: str) -> _Told:
        async with self._one:
            told = self._told.get(buffer)
            scanned_at = self._scanner.scanned_at
            if told is not None and told.scanned_at == scanned_at:
                return told
            runs = list(self._scanner.state.buffers.get(buffer, {}).values())
            found = tuple(await self._runs.of(runs))
            window = carried_on(told.window if told is not None else None, found)
            told = _Told(scanned_at, found, window, self._written(window, runs))
            self._told[buffer] = told
            return told

    def _written(self, window: PreviewWindow | None, runs: Sequence[RunState]) -> str | None:
        if window is None:
            return None
        # A run that has ended may be followed by another within seconds: only silence is an end.
        now_seconds = self._clock.monotonic()
        may_go_on = any(now_seconds - run.last_sign_seconds < LIVE_SECONDS for run in runs)
        return media_playlist(window, PlaylistKind.LIVE if may_go_on else PlaylistKind.ENDED, query=_QUERY)

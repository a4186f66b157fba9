"""Keeps some of the buffer volume free, also while the operator is silent (DESIGN §4, §8).

What goes is decided in `domain/floor_victims.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.policy_book import PolicyBook
from replay_operator.agent.removal import Remover
from replay_operator.agent.scan import Scanner
from replay_operator.agent.state import RunState, VolumeState
from replay_operator.agent.timeline import stored_segments
from replay_operator.api.agent import VolumeSpace
from replay_operator.domain.floor_victims import FloorBuffer, Victims, choose_victims
from replay_operator.domain.free_space import (
    Freed,
    FreeSample,
    FreeSpaceFloor,
    Space,
    bytes_to_free,
    margin_bytes,
    seconds_to_full,
)
from replay_operator.domain.retention import StoredSegment

FORECAST_SECONDS = 600.0
"""The forecast looks back so far: longer than the bursts of captures, shorter than the usual window fills."""

_SAMPLE_EVERY_SECONDS = 1.0

EPISODE_SECONDS = 300.0
"""So long after its last segment went for the floor a buffer counts as trimmed: one Event, not hundreds."""

_logger = logging.getLogger(__name__)


class FloorKeeper:
    """Looks at the free space, and deletes when there is too little."""

    def __init__(
        self,
        *,
        root: Path,
        floor: FreeSpaceFloor,
        files: FileWork,
        clock: AgentClock,
        book: PolicyBook,
        scanner: Scanner,
        remover: Remover,
        guard: asyncio.Lock,
    ) -> None:
        """Take what is needed.

        Args:
            root: Where the buffer volume is mounted.
            floor: What has to stay free.
            files: The way to file operations.
            clock: Tells the time of each decision.
            book: The policy in force, with the pins.
            scanner: What lies on the volume.
            remover: Deletes.
            guard: Held from a decision to the end of its deletions, as for the window.
        """
        self._root = root
        self._floor = floor
        self._files = files
        self._clock = clock
        self._book = book
        self._scanner = scanner
        self._remover = remover
        self._guard = guard
        self._samples: deque[FreeSample] = deque()
        self._space: Space | None = None
        self._missing_bytes = 0
        self._freed: Freed | None = None
        self._trimmed_seconds: dict[str, float] = {}

    async def keep(self) -> None:
        """Look once, and delete what has to go.

        Raises:
            OSError: The volume does not say how full it is.
        """
        space = await self._files.run(_space, self._root)
        now_seconds = self._clock.monotonic()
        self._note(space, now_seconds)
        needed_bytes = bytes_to_free(
            space,
            floor_bytes=self._floor.bytes_of(space.size_bytes),
            freed=self._freed,
            now_seconds=now_seconds,
        )
        if not needed_bytes:
            self._tell_missing(0)
        elif self._scanner.scanned_at is None or self._book.in_force is None:
            # Without a policy nobody knows what is pinned, and before the first scan what is newest.
            self._tell_missing(needed_bytes)
        else:
            async with self._guard:
                await self._free(space, needed_bytes)
        self._end_episodes(now_seconds)

    def report(self) -> VolumeSpace | None:
        """Give how full the volume is, None before the first look."""
        if self._space is None:
            return None
        forecast = seconds_to_full(list(self._samples))
        return VolumeSpace(
            size_bytes=self._space.size_bytes,
            free_bytes=self._space.free_bytes,
            floor_bytes=self._floor.bytes_of(self._space.size_bytes),
            missing_bytes=self._missing_bytes,
            full_in_seconds=None if forecast is None else int(forecast),
        )

    def _note(self, space: Space, now_seconds: float) -> None:
        self._space = space
        if self._samples and now_seconds - self._samples[-1].at_seconds < _SAMPLE_EVERY_SECONDS:
            return
        self._samples.append(FreeSample(now_seconds, space.free_bytes))
        while now_seconds - self._samples[0].at_seconds > FORECAST_SECONDS:
            self._samples.popleft()

    async def _free(self, space: Space, needed_bytes: int) -> None:
        policy, state = self._book.in_force, self._scanner.state
        victims = choose_victims(
            self._buffers(state),
            needed_bytes=needed_bytes,
            complete=policy is not None and policy.complete,
            now=self._clock.now(),
        )
        deleted_bytes = await self._remove(state, victims.unasked.items())
        deleted_bytes += await self._remove(state, victims.wanted.items())
        now_seconds = self._clock.monotonic()
        self._freed = Freed(now_seconds, space.free_bytes, deleted_bytes)
        self._tell_trimmed(state, victims, now_seconds)
        # What lacks only to the margin is nobody's trouble.
        self._tell_missing(
            max(0, victims.missing_bytes - margin_bytes(self._floor.bytes_of(space.size_bytes)))
        )

    def _buffers(self, state: VolumeState) -> Iterable[FloorBuffer]:
        now_seconds = self._clock.monotonic()
        for path, runs in state.buffers.items():
            held = list(runs.values())
            yield FloorBuffer(
                path=path,
                bytes=sum(run.bytes for run in held),
                policy=self._book.policy_of(path),
                live_runs={run.path.run for run in held if run.is_live(now_seconds)},
                segments=partial(_segments, held),
            )

    async def _remove(self, state: VolumeState, gone: Iterable[tuple[str, list[StoredSegment]]]) -> int:
        return sum(
            [await self._remover.remove(state.buffers[path], found, reason="floor") for path, found in gone]
        )

    def _tell_trimmed(self, state: VolumeState, victims: Victims, now_seconds: float) -> None:
        new = [path for path in victims.wanted if path not in state.trimmed_since]
        if new:
            _logger.warning(
                "the buffer volume has less free space than its floor: the oldest segments of %d more "
                "buffers go though they are inside their windows, such as those of %s; enlarge the volume",
                len(new),
                new[0],
            )
        state.trimmed_since.update(dict.fromkeys(new, self._clock.now()))
        self._trimmed_seconds.update(dict.fromkeys(victims.wanted, now_seconds))

    def _end_episodes(self, now_seconds: float) -> None:
        for path, last_seconds in list(self._trimmed_seconds.items()):
            if now_seconds - last_seconds >= EPISODE_SECONDS:
                del self._trimmed_seconds[path]
                self._scanner.state.trimmed_since.pop(path, None)

    def _tell_missing(self, missing_bytes: int) -> None:
        if missing_bytes and not self._missing_bytes:
            _logger.error(
                "the buffer volume lacks %d bytes to its free space floor and nothing more may go: what is "
                "left is pinned by captures or the newest of a recording, or no policy has come yet; enlarge "
                "the volume now, or recordings fail when it is full",
                missing_bytes,
            )
        self._missing_bytes = missing_bytes


def _segments(runs: Iterable[RunState]) -> list[StoredSegment]:
    return [segment for run in runs for segment in stored_segments(run)]


def _space(root: Path) -> Space:
    told = os.statvfs(root)
    return Space(told.f_blocks * told.f_frsize, told.f_bavail * told.f_frsize)

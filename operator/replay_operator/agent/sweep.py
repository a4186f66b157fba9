"""Deletes what the policy lets go. What may go is decided in `domain/retention.py`."""

from __future__ import annotations

import asyncio
import logging

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.policy_book import PolicyBook
from replay_operator.agent.scan import Scanner
from replay_operator.agent.settings import AgentSettings
from replay_operator.agent.state import RunState
from replay_operator.agent.timeline import stored_segments
from replay_operator.agent.volume import Volume
from replay_operator.domain.retention import (
    deletion_allowed,
    orphans_due,
    orphans_since,
    removable_segments,
)

_logger = logging.getLogger(__name__)


class Sweeper:
    """Carries out retention over the scanner's state."""

    def __init__(
        self,
        *,
        settings: AgentSettings,
        volume: Volume,
        files: FileWork,
        clock: AgentClock,
        book: PolicyBook,
        scanner: Scanner,
        metrics: AgentMetrics,
        guard: asyncio.Lock,
    ) -> None:
        """Take what is needed.

        Args:
            settings: Grace periods and silence.
            volume: The buffer volume.
            files: The way to file operations.
            clock: Tells the time of each decision.
            book: The policy in force.
            scanner: What lies on the volume.
            metrics: Where deletions are counted.
            guard: Held from a decision to the end of its deletions, so that a pin that was acknowledged
                can never be passed over by a decision from before.
        """
        self._settings = settings
        self._volume = volume
        self._files = files
        self._clock = clock
        self._book = book
        self._scanner = scanner
        self._metrics = metrics
        self._guard = guard
        self._started_seconds = clock.monotonic()
        self._orphans: dict[str, float] = {}

    async def sweep(self) -> None:
        """Delete once what may go now; nothing while the operator is silent or the first scan is not done."""
        if self._scanner.scanned_at is None or self._book.in_force is None:
            return
        for path in list(self._scanner.state.buffers):
            async with self._guard:
                if not self._may_delete():
                    return
                await self._sweep_buffer(path)
        async with self._guard:
            if self._may_delete():
                await self._sweep_orphans()

    def _may_delete(self) -> bool:
        return deletion_allowed(
            now_seconds=self._clock.monotonic(),
            started_seconds=self._started_seconds,
            heard_seconds=self._book.heard_seconds,
            silence_seconds=self._settings.silence_seconds,
            startup_quiet_seconds=self._settings.startup_quiet_seconds,
        )

    async def _sweep_buffer(self, path: str) -> None:
        policy = self._book.policy_of(path)
        if policy is None:
            return
        runs = self._scanner.state.buffers.get(path, {})
        now_seconds = self._clock.monotonic()
        removable = removable_segments(
            policy,
            [segment for run in runs.values() for segment in stored_segments(run)],
            live_runs={name for name, run in runs.items() if run.is_live(now_seconds)},
            now=self._clock.now(),
        )
        for name, run in list(runs.items()):
            await self._remove_segments(run, [s.index for s in removable if s.run == name], reason="window")
            if (
                not run.segments
                and now_seconds - run.last_sign_seconds >= self._settings.orphan_grace_seconds
            ):
                await self._remove_run(run)

    async def _sweep_orphans(self) -> None:
        policy = self._book.in_force
        if policy is None:
            return
        now_seconds = self._clock.monotonic()
        buffers = self._scanner.state.buffers
        self._orphans = orphans_since(
            self._orphans, on_disk=list(buffers), policy=policy, now_seconds=now_seconds
        )
        due = orphans_due(
            self._orphans,
            policy=policy,
            now_seconds=now_seconds,
            grace_seconds=self._settings.orphan_grace_seconds,
        )
        for path in due:
            # A live one waits: its worker would make the directory again, with rights that shut us out.
            if not any(run.is_live(now_seconds) for run in buffers[path].values()):
                await self._remove_orphan(path)

    async def _remove_orphan(self, path: str) -> None:
        # Whatever happens, the next try comes a grace period later.
        self._orphans.pop(path)
        try:
            await self._empty_orphan(path)
            await self._files.run(self._volume.remove_buffer, path)
        except OSError as error:
            self._refused(path, error)
        else:
            self._scanner.state.buffers.pop(path, None)
            _logger.info("buffer directory %s is gone: no policy names it", path)

    async def _empty_orphan(self, path: str) -> None:
        for run in list(self._scanner.state.buffers[path].values()):
            on_disk = await self._files.run(self._volume.list_segments, run.path)
            await self._remove_segments(run, sorted(on_disk), reason="orphan")
            await self._remove_run(run)

    async def _remove_segments(self, run: RunState, indices: list[int], *, reason: str) -> None:
        if not indices:
            return
        removal = await self._files.run(self._volume.remove_segments, run.path, indices)
        for index in removal.gone:
            run.segments.pop(index, None)
        self._metrics.deleted_segments.labels(reason).inc(len(removal.gone))
        if removal.error is not None:
            self._refused(run.path.relative, removal.error)

    async def _remove_run(self, run: RunState) -> None:
        try:
            await self._files.run(self._volume.remove_run, run.path)
        except OSError as error:
            run.last_sign_seconds = self._clock.monotonic()
            self._refused(run.path.relative, error)
        else:
            self._scanner.state.forget(run.path)

    def _refused(self, path: str, error: OSError) -> None:
        self._metrics.deletion_errors.inc()
        _logger.warning(
            "%s on the buffer volume cannot be deleted, look at its owner and mode: %s", path, error
        )

"""Deletes what the policy lets go. What may go is decided in `domain/retention.py`."""

from __future__ import annotations

import asyncio
import logging

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.policy_book import PolicyBook
from replay_operator.agent.removal import Remover
from replay_operator.agent.scan import Scanner
from replay_operator.agent.settings import AgentSettings
from replay_operator.agent.state import RunState
from replay_operator.agent.timeline import stored_segments
from replay_operator.agent.volume import Volume
from replay_operator.api.agent import BufferPolicy
from replay_operator.domain.retention import (
    beyond_byte_limit,
    deletion_allowed,
    orphans_due,
    orphans_since,
    removable_segments,
)

_TOLD_SECONDS = 600.0
"""A buffer that goes on writing too much is named in the log so often."""

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
        remover: Remover,
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
            remover: Deletes segments.
            guard: Held from a decision to the end of its deletions, so that a pin that was acknowledged
                can never be passed over by a decision from before.
        """
        self._settings = settings
        self._volume = volume
        self._files = files
        self._clock = clock
        self._book = book
        self._scanner = scanner
        self._remover = remover
        self._guard = guard
        self._started_seconds = clock.monotonic()
        self._orphans: dict[str, float] = {}
        self._too_large: dict[str, float] = {}

    async def sweep(self) -> None:
        """Delete once what may go now; nothing while the operator is silent or the first scan is not done."""
        if self._scanner.scanned_at is None or self._book.in_force is None:
            return
        for path in list(self._scanner.state.buffers):
            await asyncio.sleep(0)  # others may ask in between: with thousands of buffers this takes a while
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
        stored = [segment for run in runs.values() for segment in stored_segments(run)]
        live_runs = {name for name, run in runs.items() if run.is_live(now_seconds)}
        now = self._clock.now()
        gone = removable_segments(policy, stored, live_runs=live_runs, now=now)
        await self._remover.remove(runs, gone, reason="window")
        left = set(stored).difference(gone) if gone else stored
        beyond = beyond_byte_limit(policy, left, live_runs=live_runs, now=now)
        if beyond:
            self._tell_too_large(policy, now_seconds)
        await self._remover.remove(runs, beyond, reason="bytes")
        for run in list(runs.values()):
            if (
                not run.segments
                and now_seconds - run.last_sign_seconds >= self._settings.orphan_grace_seconds
            ):
                await self._remove_run(run)

    def _tell_too_large(self, policy: BufferPolicy, now_seconds: float) -> None:
        since = {path: told for path, told in self._too_large.items() if now_seconds - told < _TOLD_SECONDS}
        if policy.path not in since:
            since[policy.path] = now_seconds
            _logger.warning(
                "%s has more than the %s bytes that its window may take, so its oldest segments go: it "
                "writes far more than its encoding says",
                policy.path,
                policy.max_bytes,
            )
        self._too_large = since

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
            self._remover.refused(path, error)
        else:
            self._scanner.state.buffers.pop(path, None)
            _logger.info("buffer directory %s is gone: no policy names it", path)

    async def _empty_orphan(self, path: str) -> None:
        for run in list(self._scanner.state.buffers[path].values()):
            on_disk = await self._files.run(self._volume.list_segments, run.path)
            await self._remover.remove_from(run, sorted(on_disk), reason="orphan")
            await self._remove_run(run)

    async def _remove_run(self, run: RunState) -> None:
        try:
            await self._files.run(self._volume.remove_run, run.path)
        except OSError as error:
            run.last_sign_seconds = self._clock.monotonic()
            self._remover.refused(run.path.relative, error)
        else:
            self._scanner.state.forget(run.path)

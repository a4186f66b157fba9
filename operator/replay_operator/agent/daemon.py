"""The agent put together: its parts, and what the server may ask of them."""

from __future__ import annotations

import asyncio
import logging
import time

from replay_operator import __version__
from replay_operator.agent.archive_meter import ArchiveMeter
from replay_operator.agent.clips import ClipArchive
from replay_operator.agent.clock import AgentClock
from replay_operator.agent.coverage import CoverageBook
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.floor import FloorKeeper
from replay_operator.agent.metrics import AgentMetrics
from replay_operator.agent.ownership import VolumeLock
from replay_operator.agent.part_sweep import PartSweeper
from replay_operator.agent.policy_book import PolicyBook
from replay_operator.agent.removal import Remover
from replay_operator.agent.run_reader import SegmentProbe
from replay_operator.agent.scan import Scanner
from replay_operator.agent.settings import AgentSettings
from replay_operator.agent.sweep import Sweeper
from replay_operator.agent.volume import Volume
from replay_operator.agent.volume_facts import volume_facts
from replay_operator.agent.write_probe import FULL, WriteProbe
from replay_operator.api.agent import ClipDeletion, Coverage, Policy, PolicyAck, RunFile
from replay_operator.api.volume_facts import AgentFacts
from replay_operator.bearer_tokens import TokenFiles
from replay_operator.domain.free_space import parse_floor
from replay_operator.domain.layout import RunPath
from replay_operator.metric_registry import Page

_logger = logging.getLogger(__name__)


class Agent:
    """Owns one buffer volume while it holds its lock; before that it only waits."""

    def __init__(self, settings: AgentSettings, *, clock: AgentClock, probe: SegmentProbe) -> None:
        """Put the parts together; nothing is read or locked yet.

        Args:
            settings: Everything that can be set.
            clock: Tells the time.
            probe: Looks into a segment.
        """
        self._settings = settings
        self._clock = clock
        self._files = FileWork()
        self._guard = asyncio.Lock()
        self._volume = Volume(settings.volume)
        self._archive = ClipArchive(settings.archive)
        self._lock = VolumeLock(settings.volume)
        self._tokens = TokenFiles(settings.token_directory)
        self._metrics = AgentMetrics()
        self._coverage = CoverageBook()
        self._book = PolicyBook(settings.volume, self._files, clock)
        self._scanner = Scanner(
            volume=self._volume,
            files=self._files,
            clock=clock,
            probe=probe,
            metrics=self._metrics,
            guard=self._guard,
            relist_interval_seconds=settings.relist_interval_seconds,
        )
        remover = Remover(self._volume, self._files, self._metrics)
        self._sweeper = Sweeper(
            settings=settings,
            volume=self._volume,
            files=self._files,
            clock=clock,
            book=self._book,
            scanner=self._scanner,
            remover=remover,
            guard=self._guard,
        )
        self._floor = FloorKeeper(
            root=settings.volume,
            floor=parse_floor(settings.free_space_floor),
            files=self._files,
            clock=clock,
            book=self._book,
            scanner=self._scanner,
            remover=remover,
            guard=self._guard,
        )
        self._parts = PartSweeper(
            settings.archive,
            files=self._files,
            clock=clock,
            book=self._book,
            metrics=self._metrics,
            silence_seconds=settings.silence_seconds,
            grace_seconds=settings.part_grace_seconds,
        )
        self._meter = ArchiveMeter(settings.archive, self._files, self._metrics)
        self._write_probe = WriteProbe(settings.volume, self._files, clock)
        self.owns_volume = False
        self._trouble: str | None = "another agent holds the lock of the buffer volume"

    @property
    def ack(self) -> PolicyAck:
        """Which policy is in force."""
        return self._book.ack

    @property
    def scanner(self) -> Scanner:
        """What is known of the buffer volume, for whoever only looks."""
        return self._scanner

    @property
    def metrics(self) -> AgentMetrics:
        """What is counted, for whoever serves more than the protocol."""
        return self._metrics

    async def scan(self) -> None:
        """Look at the volume once; try to become its owner first when this agent is not."""
        began = time.perf_counter()
        try:
            if not self.owns_volume and not await self._take_over():
                return
            await self._write_probe.look()
            await self._scanner.scan()
        except OSError as error:
            self._metrics.scan_errors.inc()
            self._trouble = f"the buffer volume cannot be used: {error}"
            _logger.warning("%s", self._trouble)
            return
        self._metrics.scan_seconds.observe(time.perf_counter() - began)

    async def maintain(self) -> None:
        """Delete what may go, once, and store what the next agent needs."""
        if not self.owns_volume:
            return
        try:
            self.owns_volume = await self._files.run(self._lock.confirm)
            if not self.owns_volume:
                self._trouble = "the lock file of the buffer volume was replaced"
                _logger.error("%s: nothing is deleted until this agent holds the new one", self._trouble)
                return
            self._trouble = None
            await self._sweeper.sweep()
            await self._scanner.remember()
        except OSError as error:
            if error.errno not in FULL:
                self._trouble = f"the buffer volume cannot be used: {error}"
            _logger.warning("the agent cannot do its work on the buffer volume: %s", error)

    async def keep_floor(self) -> None:
        """Look at the free space once, and make room when there is too little."""
        if not self.owns_volume:
            return
        try:
            await self._floor.keep()
        except OSError as error:
            _logger.warning("the free space of the buffer volume cannot be kept: %s", error)

    async def sweep_archive(self) -> None:
        """Remove once what ended captures have left unfinished on the archive volume."""
        if self.owns_volume:
            await self._parts.sweep()

    async def measure_archive(self) -> None:
        """Count once what lies on the archive volume."""
        await self._meter.measure()

    async def close(self) -> None:
        """Store what the next agent needs and let it have the volume."""
        try:
            if self.owns_volume:
                await self._scanner.remember()
        except OSError as error:
            _logger.warning("the highest indices cannot be stored: %s", error)
        finally:
            self.owns_volume = False
            self._lock.release()

    async def accepts_token(self, token: str) -> bool:
        """Say whether a bearer token is a good one.

        Args:
            token: What the request brought.
        """
        return await self._files.run(self._tokens.accepts, token)

    async def put_policy(self, policy: Policy) -> bool:
        """Take a policy; from the answer on, nothing is deleted by an older one.

        Args:
            policy: What the operator sent.

        Returns:
            Whether it is in force; False when a newer one is.

        Raises:
            InvalidPolicyError: It contradicts itself.
            OSError: It cannot be stored.
        """
        async with self._guard:
            return await self._book.put(policy)

    async def put_run(self, path: RunPath, run_file: RunFile) -> RunFile:
        """Make a run's directory or update its `run.json`, and follow it from now on.

        Args:
            path: The run.
            run_file: What is known of it.

        Raises:
            LayoutError: A name cannot be a directory name.
            OSError: The volume cannot be written.
        """
        async with self._guard:
            stored = await self._files.run(self._volume.make_run, path, run_file)
            self._scanner.adopt(path, stored)
            return stored

    async def delete_clip(self, wanted: ClipDeletion) -> None:
        """Delete a clip from the archive volume.

        Args:
            wanted: Which clip, and whose.

        Raises:
            ClipRefusedError: It is not that capture's clip.
            OSError: The volume refuses.
        """
        await self._files.run(self._archive.delete, wanted)

    async def drop_clip(self, wanted: ClipDeletion) -> None:
        """Delete a clip from the archive volume that is elsewhere too, and nothing beside it.

        Args:
            wanted: Which clip, and whose.

        Raises:
            ClipRefusedError: It is not that capture's clip.
            OSError: The volume refuses.
        """
        await self._files.run(self._archive.drop, wanted)

    def coverage(self, since: str | None = None) -> Coverage:
        """Describe what lies on the volume, or what has changed there.

        Args:
            since: Mark of the answer that the asker holds, None when it holds none.
        """
        scanner = self._scanner
        return self._coverage.coverage(
            scanner.state,
            scanned_at=scanner.scanned_at,
            policy=self.ack,
            since=since,
            space=self._floor.report(),
        )

    async def facts(self) -> AgentFacts:
        """Tell of this agent and of the volumes that it mounts; nothing is changed on them."""
        buffer, archive = await asyncio.gather(
            self._files.run(volume_facts, self._settings.volume),
            self._files.run(volume_facts, self._settings.archive),
        )
        not_ready = await self.why_not_ready()
        return AgentFacts(
            version=__version__,
            # Read last: who compares clocks counts from the moment of the answer.
            clock=self._clock.now(),
            not_ready=not_ready,
            buffer=buffer,
            archive=archive,
            space=self._floor.report(),
        )

    async def why_not_ready(self) -> str | None:
        """Give the reason why this agent should get no requests, None when it is ready."""
        if not self.owns_volume or self._trouble is not None:
            return self._trouble
        if (trouble := self._write_probe.trouble()) is not None:
            return trouble
        if self._scanner.scanned_at is None:
            return "the first scan of the buffer volume is not complete"
        if not await self._files.run(self._tokens.any_known):
            return "the token directory holds no token"
        return None

    def metrics_page(self, accept: str = "") -> Page:
        """Give the page that Prometheus reads.

        Args:
            accept: The header `Accept` of the request.
        """
        state, metrics = self._scanner.state, self._metrics
        runs = state.runs()
        metrics.storage_bytes.labels("temp").set(sum(run.bytes for run in runs))
        metrics.segments.set(sum(len(run.segments) for run in runs))
        metrics.buffers.set(len(state.buffers))
        heard = self._book.heard_seconds
        age_seconds = float("inf") if heard is None else self._clock.monotonic() - heard
        metrics.policy_age_seconds.set(age_seconds)
        oldest_pin = self._book.oldest_pin()
        pinned_seconds = (self._clock.now() - oldest_pin).total_seconds() if oldest_pin is not None else 0
        metrics.oldest_pin_seconds.set(max(0.0, pinned_seconds))
        metrics.volume_writable.set(self.owns_volume and self._write_probe.takes_writes)
        metrics.trimmed_buffers.set(len(state.trimmed_since))
        metrics.tell_space(self._floor.report())
        return metrics.page(accept)

    async def _take_over(self) -> bool:
        if not await self._files.run(self._lock.try_acquire):
            return False
        await self._book.load()
        await self._scanner.load()
        self.owns_volume = True
        self._trouble = None
        _logger.info("this agent owns the buffer volume now")
        return True

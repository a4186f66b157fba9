"""The newest word of the agent, and who must hear of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from replay_operator.api.agent import BufferCoverage, Coverage
from replay_operator.api.model import lean
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable
from replay_operator.domain.observation import CoverageView

RECENT = timedelta(seconds=10)
"""How old the agent's word may be. Older: unknown, which is not dead (DESIGN §4)."""

PATIENCE = timedelta(seconds=30)
"""How long an agent may be silent before the status says so: a restarted agent has looked at its volume
by then, and a restart must cause no write."""

RESTS = 19
"""Between two answers at least so many times what the last one took: at most a twentieth of the time of agent
and operator goes into them. The word about 5000 buffers is 1.5 MB of JSON (benchmarks/README.md)."""

LONGEST_PAUSE = RECENT / 2
"""A slow answer must not by itself make the word old."""

log = logging.getLogger(__name__)


def pause_after(took: timedelta, interval: timedelta) -> timedelta:
    """Give how long to wait before the next question.

    Args:
        took: From the last question until its answer was taken in.
        interval: The least wait.
    """
    return max(interval, min(took * RESTS, LONGEST_PAUSE))


class CoverageWatch:
    """Asks the agent for coverage again and again, and tells which buffers changed in a way that matters.

    A further segment of a healthy run does not matter: the buffer's own re-check finds it. So five thousand
    recording buffers cause no wake-ups.
    """

    def __init__(
        self,
        agent: AgentClient,
        *,
        interval: timedelta,
        clock: Callable[[], datetime],
        on_change: Callable[[frozenset[str]], None],
        on_answer: Callable[[], None],
        on_word: Callable[[Coverage], None] | None = None,
    ) -> None:
        self._agent = agent
        self._interval = interval
        self._clock = clock
        self._on_change = on_change
        self._on_answer = on_answer
        self._on_word = on_word
        self._buffers: dict[str, BufferCoverage] = {}
        self._begun = clock()
        self._known_at: datetime | None = None
        self._as_of: datetime | None = None
        self._complete = False
        self._mark: str | None = None

    @property
    def silent_seconds(self) -> float:
        """Since the agent last told of everything, or since this process asks."""
        return (self._clock() - (self._known_at or self._begun)).total_seconds()

    def of(self, path: str) -> CoverageView:
        """Give what lies on disk of one buffer.

        Args:
            path: Its directory on the buffer volume.
        """
        now = self._clock()
        known = self._complete and self._known_at is not None and now - self._known_at <= RECENT
        found = self._buffers.get(path)
        runs = {run.run: run for run in found.runs} if found else {}
        given_up = now - (self._known_at or self._begun) > PATIENCE
        return CoverageView(runs=runs, known=known, given_up=given_up, as_of=self._as_of)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            asked_at = self._clock()
            await self.refresh()
            pause = pause_after(self._clock() - asked_at, self._interval)
            await asyncio.sleep(pause.total_seconds())

    async def refresh(self) -> None:
        """Ask once. An agent that is away leaves the old word, which grows too old by itself."""
        try:
            # The mark stays when an answer is lost: the next one then tells of both.
            coverage = await self._agent.coverage(self._mark)
        except AgentUnavailable as error:
            log.warning("no coverage: %s", error)
            return
        if coverage.since not in (None, self._mark):
            log.warning("the agent told of changes since %s, which is not what we hold", coverage.since)
            self._mark = None  # so that the next answer is whole
            return
        if self._on_word is not None:
            self._on_word(coverage)
        changed = self._take(coverage)
        if changed:
            self._on_change(changed)
        self._on_answer()

    def _take(self, coverage: Coverage) -> frozenset[str]:
        news = {buffer.path: lean(buffer) for buffer in coverage.buffers}
        gone = self._buffers.keys() - news.keys() if coverage.since is None else coverage.gone
        looked_at = [(path, news.get(path)) for path in (*news, *gone)]
        changed = {path for path, new in looked_at if _has_other_runs(new, self._buffers.get(path))}
        for path in gone:
            self._buffers.pop(path, None)
        self._buffers |= news
        if coverage.complete and not self._complete:
            changed |= self._buffers.keys()
        self._complete, self._as_of, self._mark = coverage.complete, coverage.as_of, coverage.mark
        if coverage.complete:
            self._known_at = self._clock()
        return frozenset(changed)


def _has_other_runs(new: BufferCoverage | None, old: BufferCoverage | None) -> bool:
    """Tell whether a run came, went or ended. The agent names them in order."""
    if new is None or old is None:
        only = new or old
        return only is not None and bool(only.runs)
    if len(new.runs) != len(old.runs):
        return True
    return any(a.run != b.run or a.ended != b.ended for a, b in zip(new.runs, old.runs, strict=True))

"""Sends the whole policy to the agent, and knows which pins it holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from replay_operator.api.agent import Policy
from replay_operator.controller.agent_client import AgentClient, AgentUnavailable

HEARTBEAT = timedelta(seconds=20)
"""Well below the 60 s after which the agent deletes nothing because its operator is silent (DESIGN §4)."""

RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


class PolicyPublisher:
    """Puts the policy when it has changed, when it was asked to, and as a sign of life.

    Puts are coalesced: however many captures ask at once, one policy holds all their pins.
    """

    def __init__(
        self,
        agent: AgentClient,
        *,
        build: Callable[[], Policy | None],
        clock: Callable[[], datetime],
        on_pinned: Callable[[frozenset[str]], None],
    ) -> None:
        self._agent = agent
        self._build = build
        self._clock = clock
        self._on_pinned = on_pinned
        self._seq = 0
        self._held: Policy | None = None
        self._sent_at: datetime | None = None
        self._pinned: frozenset[str] = frozenset()
        self._poked = asyncio.Event()

    def poke(self) -> None:
        """Ask for a look at whether the policy has changed."""
        self._poked.set()

    def is_pinned(self, capture_uid: str) -> bool:
        """Tell whether the agent has acknowledged a policy that holds this capture's range."""
        return capture_uid in self._pinned

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            self._poked.clear()
            wait = HEARTBEAT.total_seconds() / 2
            try:
                await self.publish()
            except AgentUnavailable as error:
                log.warning("the policy could not be sent: %s", error)
                wait = RETRY_SECONDS
            try:
                await asyncio.wait_for(self._poked.wait(), wait)
            except TimeoutError:
                continue

    async def publish(self) -> None:
        """Send the policy if it has changed or the last one is old.

        Raises:
            AgentUnavailable: The agent has not acknowledged it.
        """
        policy = self._build()
        if policy is None:
            return  # not everything is known yet: a partial policy could let go what it does not name
        now = self._clock()
        same = self._held is not None and _says_the_same(self._held, policy)
        if same and self._sent_at is not None and now - self._sent_at < HEARTBEAT:
            return
        self._seq += 1
        policy = policy.model_copy(update={"seq": self._seq})
        ack = await self._agent.put_policy(policy)
        if (ack.epoch, ack.seq) != (policy.epoch, policy.seq):
            held = f"{ack.epoch}/{ack.seq}"
            raise AgentUnavailable(f"the agent follows policy {held} of another operator, not ours")
        self._held, self._sent_at = policy, now
        pinned = frozenset(pin.capture_uid for buffer in policy.buffers for pin in buffer.pins)
        new, self._pinned = pinned - self._pinned, pinned
        if new:
            self._on_pinned(new)


def _says_the_same(held: Policy, policy: Policy) -> bool:
    return held.buffers == policy.buffers and held.live_captures == policy.live_captures

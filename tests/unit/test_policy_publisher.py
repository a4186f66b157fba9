"""When the policy is sent, and which pins count as held."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from replay_operator.api.agent import BufferPolicy, Pin, Policy, PolicyAck
from replay_operator.controller.agent_client import AgentUnavailable
from replay_operator.controller.policy import HEARTBEAT, PolicyPublisher
from tests.builders import NOW, at
from tests.contract.scripted import HandClock, ScriptedAgent


def policy(*captures: str) -> Policy:
    pins = tuple(Pin(capture_uid=uid, start=at(-60), end=NOW) for uid in captures)
    line = BufferPolicy(path="team/b", window_seconds=60, slack_seconds=120, segment_seconds=6, pins=pins)
    return Policy(epoch=4, seq=0, complete=True, buffers=(line,))


@dataclass
class Desk:
    """A publisher with everything around it."""

    clock: HandClock = field(default_factory=HandClock)
    wanted: Policy | None = field(default_factory=policy)
    pinned: list[frozenset[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.agent = ScriptedAgent(self.clock)
        self.publisher = PolicyPublisher(
            self.agent, build=lambda: self.wanted, clock=self.clock, on_pinned=self.pinned.append
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_same_policy_is_sent_once(desk: Desk) -> None:
    for _ in range(10):
        desk.clock.go_on(1)
        await desk.publisher.publish()
    assert len(desk.agent.policies) == 1


async def test_an_unchanged_policy_is_repeated_as_a_sign_of_life(desk: Desk) -> None:
    await desk.publisher.publish()
    desk.clock.go_on(HEARTBEAT.total_seconds())
    await desk.publisher.publish()
    assert [sent.seq for sent in desk.agent.policies] == [1, 2]
    assert HEARTBEAT.total_seconds() < 60, "the agent stops deleting after 60 s of silence"


async def test_a_changed_policy_is_sent_at_once_with_the_next_number(desk: Desk) -> None:
    await desk.publisher.publish()
    desk.wanted = policy("c1")
    await desk.publisher.publish()
    assert [(sent.epoch, sent.seq) for sent in desk.agent.policies] == [(4, 1), (4, 2)]


async def test_a_capture_that_may_no_longer_write_makes_another_policy(desk: Desk) -> None:
    desk.wanted = policy().model_copy(update={"live_captures": ("c1",)})
    await desk.publisher.publish()
    desk.wanted = policy().model_copy(update={"live_captures": ()})
    await desk.publisher.publish()
    assert [sent.live_captures for sent in desk.agent.policies] == [("c1",), ()]


async def test_a_partial_view_sends_nothing(desk: Desk) -> None:
    desk.wanted = None
    await desk.publisher.publish()
    assert desk.agent.policies == []


async def test_a_pin_counts_when_its_policy_is_acknowledged_and_is_told_once(desk: Desk) -> None:
    desk.wanted = policy("c1")
    assert not desk.publisher.is_pinned("c1")
    await desk.publisher.publish()
    assert desk.publisher.is_pinned("c1")
    desk.wanted = policy("c1", "c2")
    await desk.publisher.publish()
    assert desk.pinned == [frozenset({"c1"}), frozenset({"c2"})]


async def test_a_policy_that_was_not_acknowledged_pins_nothing_and_is_sent_again(desk: Desk) -> None:
    desk.wanted, desk.agent.away = policy("c1"), True
    with pytest.raises(AgentUnavailable):
        await desk.publisher.publish()
    assert not desk.publisher.is_pinned("c1")
    desk.agent.away = False
    await desk.publisher.publish()
    assert desk.publisher.is_pinned("c1")
    assert [sent.seq for sent in desk.agent.policies] == [2], "a number is never used twice"


async def test_an_agent_that_follows_a_newer_operator_holds_none_of_our_pins(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def newer(_: Policy) -> PolicyAck:
        return PolicyAck(epoch=5, seq=1)

    monkeypatch.setattr(desk.agent, "put_policy", newer)
    desk.wanted = policy("c1")
    with pytest.raises(AgentUnavailable, match="5/1 of another operator"):
        await desk.publisher.publish()
    assert not desk.publisher.is_pinned("c1")


async def test_a_pin_that_was_let_go_counts_no_more(desk: Desk) -> None:
    desk.wanted = policy("c1")
    await desk.publisher.publish()
    desk.wanted = policy()
    await desk.publisher.publish()
    assert not desk.publisher.is_pinned("c1")


async def test_a_poke_is_answered_without_waiting_for_the_heartbeat(desk: Desk) -> None:
    told = asyncio.Event()
    publisher = PolicyPublisher(
        desk.agent, build=lambda: desk.wanted, clock=desk.clock, on_pinned=lambda _: told.set()
    )
    running = asyncio.create_task(publisher.run())
    async with asyncio.timeout(60):
        await desk.agent.policy_came.wait()
        desk.wanted = policy("c1")
        publisher.poke()
        await told.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [sent.seq for sent in desk.agent.policies] == [1, 2]


async def test_an_agent_that_is_away_does_not_end_the_loop(desk: Desk) -> None:
    desk.agent.away = True
    running = asyncio.create_task(desk.publisher.run())
    async with asyncio.timeout(60):
        for _ in range(3):
            desk.publisher.poke()
            await asyncio.sleep(0)
        desk.agent.away = False
        while not desk.agent.policies:
            desk.publisher.poke()
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(desk.agent.policies) == 1

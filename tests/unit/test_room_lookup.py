"""How often a room is asked for, however many buffers want to know."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from replay_operator.controller.rooms import AUDIT, FRESH, RoomLookup
from replay_operator.domain.egress import Participant
from tests.builders import NOW

BUFFERS = 10


class CountingLiveKit:
    """Answers, and counts. `meanwhile` happens while an answer is on its way."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.meanwhile = lambda: None

    async def participants(self, room: str) -> tuple[Participant, ...]:
        self.calls[room] += 1
        self.meanwhile()
        return ()


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def goes_on(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def livekit() -> CountingLiveKit:
    return CountingLiveKit()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def rooms(livekit: CountingLiveKit, time: Time) -> RoomLookup:
    return RoomLookup(livekit, time)  # type: ignore[arg-type] # it is asked for participants only


async def look(rooms: RoomLookup, time: Time, looked_up: dict[str, datetime]) -> None:
    """Let each buffer look when it is due."""
    for buffer, looked in tuple(looked_up.items()):
        if rooms.is_due("standup", looked):
            await rooms.participants("standup", audit=True)
            looked_up[buffer] = time()


async def test_an_audit_costs_one_call_for_each_room_however_many_buffers_it_has(
    rooms: RoomLookup, livekit: CountingLiveKit, time: Time
) -> None:
    looked_up = {f"buffer-{n}": time() for n in range(BUFFERS)}
    audits = 6
    for _ in range(audits * 60):
        time.goes_on(AUDIT / 60)
        await look(rooms, time, looked_up)
    assert livekit.calls["standup"] == audits
    assert all(time() - looked <= AUDIT for looked in looked_up.values())


async def test_rooms_are_not_audited_at_the_same_time(rooms: RoomLookup, time: Time) -> None:
    names = [f"room-{n}" for n in range(100)]
    started = time()
    time.goes_on(AUDIT / 10)
    due = sum(rooms.is_due(name, started) for name in names)
    assert 2 <= due <= 30


async def test_a_room_that_is_told_of_is_due_at_once_and_asked_anew(
    rooms: RoomLookup, livekit: CountingLiveKit, time: Time
) -> None:
    await rooms.participants("standup")
    looked_up = time()
    rooms.note_change("standup")
    assert rooms.is_due("standup", looked_up)
    await rooms.participants("standup", audit=True)
    assert livekit.calls["standup"] == 2


async def test_an_answer_that_was_asked_for_before_a_change_does_not_count_after_it(
    rooms: RoomLookup, livekit: CountingLiveKit, time: Time
) -> None:
    livekit.meanwhile = lambda: (time.goes_on(timedelta(milliseconds=5)), rooms.note_change("standup"))[0]
    await rooms.participants("standup")
    livekit.meanwhile = lambda: None
    await rooms.participants("standup", audit=True)
    assert livekit.calls["standup"] == 2


async def test_who_needs_to_know_now_does_not_take_the_answer_of_an_audit(
    rooms: RoomLookup, livekit: CountingLiveKit, time: Time
) -> None:
    await rooms.participants("standup")
    time.goes_on(FRESH / 2)
    await rooms.participants("standup")
    assert livekit.calls["standup"] == 1
    time.goes_on(FRESH)
    await rooms.participants("standup")
    assert livekit.calls["standup"] == 2

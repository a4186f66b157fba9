"""The elector in virtual time, against an API server and a network that misbehave on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.controller.leader import Elector, LeadershipLost
from replay_operator.domain.leadership import LeaseRecord, LeaseTimings, epoch_floor
from tests.unit.lease_simulation import CLEAR, Fate, Line, StoredLease, VirtualTime, finished

TIMINGS = LeaseTimings()
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FLOOR = epoch_floor(NOON)
ANSWER_LOST = Fate(lost="answer")
THEIRS = LeaseRecord(version="7", holder="b", lease_seconds=12, transitions=3)


@pytest.fixture
def loop() -> Iterator[VirtualTime]:
    made = VirtualTime()
    yield made
    made.close()


def elector(lease: StoredLease, loop: VirtualTime, *fates: Fate, afterwards: Fate = CLEAR) -> Elector:
    """A candidate whose first requests meet these fates: look, take, first renewal, ..."""
    line = Line(lease, chain(fates, cycle([afterwards])).__next__)
    return Elector(line, pod_name="pod", utc_now=lambda: NOON, monotonic=loop.time)


def test_each_leader_has_the_next_epoch_also_when_the_same_process_leads_again(loop: VirtualTime) -> None:
    lease = StoredLease()
    a, b = elector(lease, loop), elector(lease, loop)

    async def story() -> list[int]:
        epochs = []
        for candidate in (a, b, b):
            epochs.append(await candidate.acquire())
            await candidate.release()
        epochs.append(await a.acquire())
        return [*epochs, await a.acquire()]

    assert finished(loop, story()) == [FLOOR + n for n in range(5)]


def test_a_process_that_starts_again_in_its_pod_is_somebody_else(loop: VirtualTime) -> None:
    lease = StoredLease()
    assert elector(lease, loop).identity != elector(lease, loop).identity


@pytest.mark.parametrize(
    "renewals",
    [
        pytest.param([ANSWER_LOST], id="stored, but the answer is lost"),
        pytest.param([ANSWER_LOST, CLEAR, CLEAR, ANSWER_LOST], id="and so is the next answer"),
        pytest.param([Fate(lost="request")] * 2, id="two requests hang"),
        pytest.param([Fate(lost="refused")] * 2, id="two requests are refused"),
    ],
)
def test_renewals_that_fail_for_less_than_the_deadline_do_not_end_the_leadership(
    loop: VirtualTime, renewals: list[Fate]
) -> None:
    leader = elector(StoredLease(), loop, CLEAR, CLEAR, *renewals)

    async def story() -> None:
        await leader.acquire()
        with pytest.raises(TimeoutError):  # ours: it held for all of the time
            async with asyncio.timeout(60.0):
                await leader.hold()

    finished(loop, story())


@pytest.mark.parametrize("lost", ["request", "refused"])
def test_a_leader_that_cannot_renew_stops_at_its_deadline_and_not_before(
    loop: VirtualTime, lost: str
) -> None:
    leader = elector(StoredLease(), loop, CLEAR, CLEAR, afterwards=Fate(lost=lost))

    async def story() -> tuple[float, bool, float]:
        await leader.acquire()
        held_at = loop.time()
        just_before = held_at + TIMINGS.renew_deadline_seconds - 0.1
        believed = loop.create_future()
        loop.call_at(just_before, lambda: believed.set_result(leader.is_leading))
        with pytest.raises(LeadershipLost, match="no renewal for 8"):
            await leader.hold()
        return held_at, await believed, loop.time()

    held_at, believed_just_before, lost_at = finished(loop, story())
    assert believed_just_before
    assert not leader.is_leading
    assert held_at + 7.9 < lost_at <= held_at + TIMINGS.renew_deadline_seconds


def test_a_process_whose_operator_hangs_lets_the_lease_run_out_and_others_lead(loop: VirtualTime) -> None:
    lease, hangs = StoredLease(), False
    line = Line(lease, cycle([CLEAR]).__next__)
    leader = Elector(
        line, pod_name="pod", utc_now=lambda: NOON, monotonic=loop.time, may_renew=lambda: not hangs
    )
    other = elector(lease, loop)

    async def story() -> bool:
        nonlocal hangs
        await leader.acquire()
        holding = asyncio.ensure_future(leader.hold())
        await asyncio.sleep(60)
        assert leader.is_leading
        hangs = True
        with pytest.raises(LeadershipLost):
            await holding
        await other.acquire()
        return leader.is_leading

    assert finished(loop, story()) is False
    assert other.is_leading


def test_the_deadline_counts_from_before_the_request_because_others_see_it_before_the_answer_is_here(
    loop: VirtualTime,
) -> None:
    leader = elector(StoredLease(), loop, Fate(0.0, 0.0), Fate(there_seconds=0.0, back_seconds=2.0))
    finished(loop, leader.acquire())
    assert loop.now == 2.0
    loop.now = TIMINGS.renew_deadline_seconds - 0.01
    assert leader.is_leading
    loop.now = TIMINGS.renew_deadline_seconds
    assert not leader.is_leading


def test_a_candidate_counts_from_the_answer_because_the_holder_may_have_renewed_just_before_it(
    loop: VirtualTime,
) -> None:
    candidate = elector(StoredLease(THEIRS), loop, Fate(there_seconds=2.0), afterwards=Fate(0.0, 0.0))
    finished(loop, candidate.acquire())
    assert loop.now >= 2.0 + THEIRS.lease_seconds


def test_a_leader_whose_event_loop_stood_still_does_not_believe_to_lead(loop: VirtualTime) -> None:
    leader = elector(StoredLease(), loop)
    finished(loop, leader.acquire())
    assert leader.is_leading
    loop.now += TIMINGS.renew_deadline_seconds
    assert not leader.is_leading


@pytest.mark.parametrize("stored", [None, replace(THEIRS, version="99"), LeaseRecord(version="99")])
def test_a_leader_stops_at_the_first_renewal_that_finds_the_lease_gone(
    loop: VirtualTime, stored: LeaseRecord | None
) -> None:
    lease = StoredLease()
    leader = elector(lease, loop)

    async def story() -> float:
        await leader.acquire()
        lease.record = stored
        with pytest.raises(LeadershipLost, match="no longer ours"):
            await leader.hold()
        return loop.time()

    assert finished(loop, story()) < 2 * TIMINGS.retry_seconds
    assert not leader.is_leading


def test_giving_up_ends_in_time_and_quietly_when_the_api_server_is_away(loop: VirtualTime) -> None:
    leader = elector(StoredLease(), loop, CLEAR, CLEAR, afterwards=Fate(lost="request"))

    async def story() -> float:
        await leader.acquire()
        begun = loop.time()
        await leader.release()
        return loop.time() - begun

    assert finished(loop, story()) <= 2 * TIMINGS.request_seconds
    assert not leader.is_leading


def test_giving_up_succeeds_when_a_renewal_that_was_under_way_comes_in_between(loop: VirtualTime) -> None:
    lease = StoredLease()
    late = Fate(there_seconds=1.5)
    leader = elector(lease, loop, CLEAR, CLEAR, late, CLEAR, late)  # the last two: look, and give up

    async def story() -> None:
        await leader.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(TIMINGS.retry_seconds + 0.5):
                await leader.hold()
        await leader.release()

    finished(loop, story())
    assert lease.record is not None
    assert (lease.record.holder, lease.version) == ("", 3)


def test_giving_up_does_not_touch_the_lease_of_another_leader(loop: VirtualTime) -> None:
    lease = StoredLease(THEIRS)
    finished(loop, elector(lease, loop).release())
    assert (lease.record, lease.version) == (THEIRS, 0)


@dataclass(frozen=True)
class Stint:
    """One life of a process: it stands by, leads if it can, and ends by SIGTERM or by SIGKILL."""

    rest_seconds: float
    life_seconds: float
    is_killed: bool


@dataclass(frozen=True)
class Machine:
    """Where candidates run: its network has its own weather, and no clock agrees with any other's."""

    stints: tuple[Stint, ...] = ()
    weather: tuple[tuple[float, Fate], ...] = ()  # for so many seconds, requests meet this fate
    clock_offset_seconds: float = 0.0
    wall_skew_seconds: float = 0.0


class Rivals:
    """Candidates on several machines over one Lease, and what they believed."""

    def __init__(self, loop: VirtualTime, timings: LeaseTimings) -> None:
        self.loop = loop
        self.timings = timings
        self.lease = StoredLease()
        self.alive: set[Elector] = set()
        self.most_at_once = 0
        self.epochs: list[int] = []
        loop.watch = self._look

    def _look(self) -> None:
        self.most_at_once = max(self.most_at_once, sum(one.is_leading for one in self.alive))

    async def live(self, machine: Machine, *, clock_rate: float) -> None:
        for stint in machine.stints:
            await asyncio.sleep(stint.rest_seconds)
            process = self.start(machine, clock_rate=clock_rate)
            try:
                async with asyncio.timeout(stint.life_seconds):
                    self.epochs.append(await process.acquire())
                    await process.hold()
            except (TimeoutError, LeadershipLost):
                if not stint.is_killed:
                    await process.release()
            self.alive.discard(process)

    def start(self, machine: Machine, *, clock_rate: float = 1.0) -> Elector:
        def fate() -> Fate:
            until = 0.0
            for seconds, kind in machine.weather:
                until += seconds
                if self.loop.now < until:
                    return kind
            return CLEAR

        process = Elector(
            Line(self.lease, fate),
            pod_name="pod",
            utc_now=lambda: NOON + timedelta(seconds=self.loop.now + machine.wall_skew_seconds),
            timings=self.timings,
            monotonic=lambda: self.loop.now * clock_rate + machine.clock_offset_seconds,
        )
        self.alive.add(process)
        return process


LONGEST_TRIP_SECONDS = 20.0
FATES = st.builds(
    Fate,
    there_seconds=st.floats(0.0, 1.0) | st.floats(1.0, LONGEST_TRIP_SECONDS),
    back_seconds=st.floats(0.0, 3.0),
    lost=st.sampled_from(["", "", "", "request", "answer", "refused"]),
)
MACHINES = st.builds(
    Machine,
    stints=st.lists(
        st.builds(Stint, st.floats(0.0, 10.0), st.floats(0.1, 90.0), st.booleans()), min_size=1, max_size=3
    ).map(tuple),
    weather=st.lists(st.tuples(st.floats(0.0, 30.0), FATES | st.just(CLEAR)), max_size=6).map(tuple),
    clock_offset_seconds=st.floats(0.0, 1e6),
    wall_skew_seconds=st.floats(-1e6, 1e6),
)


@pytest.mark.parametrize(
    ("timings", "clock_rates"),
    [
        pytest.param(LeaseTimings(), (0.85, 1.15, 1.0), id="as shipped, clocks that run apart"),
        pytest.param(
            LeaseTimings(renew_deadline_seconds=11.99), (1.0, 1.0, 1.0), id="no margin, clocks that agree"
        ),
    ],
)
@settings(deadline=None, max_examples=60)
@given(machines=st.lists(MACHINES, min_size=2, max_size=3))
def test_two_never_believe_to_lead_at_once_and_when_all_is_well_again_one_does(
    timings: LeaseTimings, clock_rates: tuple[float, ...], machines: list[Machine]
) -> None:
    loop = VirtualTime()
    rivals = Rivals(loop, timings)

    async def story() -> float:
        lives = zip(machines, clock_rates, strict=False)
        await asyncio.gather(*(rivals.live(machine, clock_rate=rate) for machine, rate in lives))
        await asyncio.sleep(LONGEST_TRIP_SECONDS)  # what is still under way would count as a sign of life
        begun = loop.now
        rivals.epochs.append(await rivals.start(Machine()).acquire())
        return loop.now - begun

    try:
        taken_over_after_seconds = finished(loop, story())
    finally:
        loop.close()
    assert rivals.most_at_once <= 1
    assert rivals.epochs == sorted(set(rivals.epochs))
    assert taken_over_after_seconds <= timings.lease_seconds + timings.retry_seconds

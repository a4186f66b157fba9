"""What is promised of a buffer's life, looked at every second. Bounds are counted from the last fault."""

from __future__ import annotations

from replay_operator.api.meta import Condition, ConditionStatus, find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.health import stale_limit
from replay_operator.domain.status_contract import RECORDING, BufferState
from tests.unit.simulated_operator import MAX_RUN_AGE, SimulatedOperator
from tests.unit.world import World
from tests.unit.world_fleet import Record
from tests.unit.world_livekit import SEGMENT_SECONDS

RESTART_SECONDS = 5.0

RECOVERY_SECONDS = 150.0
"""A back-off of 60 s and a start of 30 s that were under way, one back-off of the list (15 s), a run that
must be found dead (24 s) and the first segment of the next (13 s)."""

CLEAN_SECONDS = 60.0
"""A stop whose answer was lost is believed for 40 s; a back-off of the list is 15 s."""

HANDOVER_SECONDS = 45.0
"""The successor's first segment comes after 13 s; one that brings none is dead after 24 s, and the list that
shows a surplus one is up to 15 s old."""

PATIENCE_SECONDS = 41.0
"""The agent's word counts for 10 s, and its silence is borne until 30 s after it; a look takes a while."""

NOTICE_SECONDS = 6.0
"""Between the limit and the status lie one look at the files and one stop that a dead worker lets wait."""

ACTING_SECONDS = 36.0
"""What is decided is done before it is written: a stop of 3 s and a start that is given up after 30 s."""

STARTS_IN_A_MINUTE = 8
"""With a back-off of 1, 2, 4, 8, 16, 32 s: seven starts, and one for the run that was there before."""

LOOK_SECONDS = 1.0


class Watcher:
    """Restarts the operator when it has crashed, and looks at everything that is promised."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.operator: SimulatedOperator | None = None
        self.crashes: list[float] = []
        self.states: set[str] = set()
        self.handovers = 0
        self._two_since: float | None = None
        self._false_seconds = 0.0
        self._false_and_idle_seconds = 0.0
        self._agent_was_known = True
        self._no_source_at = 0.0
        self._writes_seen = 0
        self._known: tuple[object, ReplayBuffer] | None = None
        self._needless_stops: list[str] = []
        world.livekit.on_stop = self._note_stop
        world.time.after(LOOK_SECONDS, self._look)

    def start_operator(self) -> None:
        self.operator = SimulatedOperator(self.world)
        self.world.livekit.on_hint = self.operator.hint
        self.world.faults.disturb()

    def tell_operator(self) -> None:
        """Let the watch bring the buffer's new version."""
        if self.operator is not None:
            self.operator.hear(self.world.api_server.body)

    def live(self) -> list[Record]:
        return self.world.fleet.live()

    def _look(self) -> None:
        self._note_crash()
        self._one_egress_outside_a_handover()
        self._makes_before_it_breaks()
        self._no_start_beside_one_that_may_come_true()
        self._no_start_storm()
        self._status_says_recording_only_of_fresh_segments()
        self._somebody_looks_again()
        self._a_source_is_recorded_when_all_is_well()
        self._an_idle_buffer_costs_no_write()
        self._no_egress_outlives_its_buffer()
        self.world.time.after(LOOK_SECONDS, self._look)

    def _note_crash(self) -> None:
        operator = self.operator
        if operator is not None and operator.crashed:
            self.crashes.append(self._now)
            self.operator = None
            self.world.fleet.on_pod = lambda _type, _body: None
            self.world.livekit.on_hint = lambda: None
            self.world.time.after(RESTART_SECONDS, self.start_operator)

    @property
    def _now(self) -> float:
        return self.world.time.seconds

    @property
    def _quiet_seconds(self) -> float:
        """How long nothing has been wrong."""
        faults = self.world.faults
        if faults.persist or self.operator is None:
            return 0.0
        return self._now - max(faults.disturbed_at, faults.unclear_until)

    @property
    def _shall_record(self) -> bool:
        body = self.world.api_server.body
        return body is not None and not body["spec"].get("suspend", False)

    def _buffer(self) -> ReplayBuffer:
        body = self.world.api_server.body
        if self._known is None or self._known[0] is not body:
            self._known = (body, ReplayBuffer.model_validate(body))
        return self._known[1]

    def _said(self) -> Condition | None:
        return find_condition(self._buffer().status.conditions, RECORDING)

    def _one_egress_outside_a_handover(self) -> None:
        live, faults = self.live(), self.world.faults
        # A successor proves itself by its first segment, which only the agent can show.
        if len(live) < 2 or self.operator is None or faults.persist:
            self._two_since = None
            return
        if self._two_since is None:
            self._two_since = self._now
            self.handovers += 1
        clear_since = max(faults.disturbed_at, faults.unclear_until)
        since = max(self._two_since, clear_since)
        assert self._now - since <= HANDOVER_SECONDS, "two egresses for longer than a hand-over takes"
        excused = self._now - max(clear_since, *self.crashes, 0.0) < CLEAN_SECONDS
        assert len(live) == 2 or excused, "three egresses"
        # What has ended since it was replaced is live for a moment more; so both are looked at.
        assert excused or any(self._is_to_be_replaced(r) for r in live), "two egresses, and no hand-over"

    def _note_stop(self, record: Record) -> None:
        """Remember a stop of a run that was well while no other run was: break before make."""
        tracks = {record.egress.video_track, record.egress.audio_track} - {None}
        is_well = self._is_fresh(record) and tracks <= set(self.world.livekit.tracks.values())
        others = [r for r in self.live() if r is not record]
        if self._shall_record and is_well and not any(self._is_fresh(r) for r in others):
            self._needless_stops.append(record.egress.id)

    def _makes_before_it_breaks(self) -> None:
        assert not self._needless_stops, f"stopped while no other run was well: {self._needless_stops}"
        cut_short = self.world.fleet.cut_short
        assert not cut_short, f"told to go, and ended 90 s later while it still recorded: {cut_short}"

    def _is_to_be_replaced(self, record: Record) -> bool:
        """Whether there is a reason for a second egress beside this one."""
        tracks = {record.egress.video_track, record.egress.audio_track} - {None}
        age = self.world.time.now().timestamp() - record.egress.started_at_ns / 1e9
        return (
            record.worker.terminating_since is not None
            or tracks != set(self.world.livekit.tracks.values())
            or age >= 0.9 * MAX_RUN_AGE.total_seconds()
            or not self._is_fresh(record)
        )

    def _is_fresh(self, record: Record) -> bool:
        limit = stale_limit(SEGMENT_SECONDS).total_seconds()
        return bool(record.arrivals) and self._now - record.arrivals[-1] <= limit

    def _no_start_beside_one_that_may_come_true(self) -> None:
        known = [at for at in self.world.livekit.hasty_starts if all(crash < at for crash in self.crashes)]
        assert not known, "a start while a lost one may still come true"

    def _no_start_storm(self) -> None:
        if not self.world.livekit.tracks:
            self._no_source_at = self._now  # a source that comes back is a reason to try at once
        # A crash forgets the back-off: what follows is one of its own.
        since = max(self._now - 60.0, self._no_source_at, *self.crashes, 0.0)
        starts = sum(at >= since for at in self.world.livekit.starts)
        assert starts <= STARTS_IN_A_MINUTE, f"{starts} starts in a minute"

    def _status_says_recording_only_of_fresh_segments(self) -> None:
        if self.world.api_server.body is None or self.operator is None or self._is_status_true():
            self._false_seconds = self._false_and_idle_seconds = 0.0
            return
        self._false_seconds += LOOK_SECONDS
        known = self.world.faults.agent == "complete"
        if known is not self._agent_was_known:  # another limit holds from now on
            self._false_seconds = self._false_and_idle_seconds = 0.0
        self._agent_was_known = known
        is_blind = self.operator.busy
        self._false_and_idle_seconds += 0.0 if is_blind else LOOK_SECONDS
        limit = NOTICE_SECONDS if known else PATIENCE_SECONDS
        assert self._false_and_idle_seconds <= limit, "Recording=True, and no segment arrives"
        assert self._false_seconds <= limit + ACTING_SECONDS, (
            "Recording=True for ever, and no segment arrives"
        )

    def _is_status_true(self) -> bool:
        """Whether Recording=True, if it is said, is said of segments that arrive.

        A run that has just taken over shows its first one later; until then its predecessor's count.
        """
        status, said = self._buffer().status, self._said()
        if said is not None:
            self.states.add(said.reason)
        if said is None or said.status is not ConditionStatus.TRUE:
            return True
        assert status.egress is not None, "Recording=True names its egress"
        records = self.world.fleet.records
        record = next(r for r in records if r.egress.id == status.egress.id)
        assert any(r.arrivals for r in records), "Recording=True before the first segment"
        return self._is_fresh(record) if record.arrivals else any(self._is_fresh(r) for r in records)

    def _somebody_looks_again(self) -> None:
        operator = self.operator
        if operator is None or not operator.delays or self.world.api_server.body is None:
            return
        said = self._said()
        looks_again = operator.delays[-1] is not None or operator.busy
        assert looks_again or said is None or said.reason == BufferState.SUSPENDED, "nobody looks again"

    def _a_source_is_recorded_when_all_is_well(self) -> None:
        if self._quiet_seconds <= RECOVERY_SECONDS or not self._shall_record:
            return
        said, published = self._said(), set(self.world.livekit.tracks.values())
        assert said is not None
        if not published:
            assert said.reason in (BufferState.SOURCE_GONE, BufferState.WAITING_FOR_SOURCE)
            assert not self.live(), "an egress outlives its source"
            return
        assert said.status is ConditionStatus.TRUE, f"{said.reason}: {said.message}"
        live = [r.egress for r in self.live()]
        recorded = {e.video_track for e in live} | {e.audio_track for e in live}
        if recorded & published and all(e.video_track and e.audio_track for e in live):
            # The run is well, and only the room tells that its other track has a new id. Where a webhook is
            # lost with the operator, or the start after it fails, the audit finds out after ten minutes.
            return
        assert recorded >= published, "it records other tracks than are there"

    def _an_idle_buffer_costs_no_write(self) -> None:
        writes = self.world.api_server.writes
        new, self._writes_seen = writes[self._writes_seen :], len(writes)
        last_start = max(self.world.livekit.starts, default=0.0)
        is_idle = self._now - last_start > HANDOVER_SECONDS
        if self._quiet_seconds > RECOVERY_SECONDS and is_idle:
            assert all(keys <= {"window"} for _, keys in new), f"an idle buffer is written: {new}"

    def _no_egress_outlives_its_buffer(self) -> None:
        if self._quiet_seconds > CLEAN_SECONDS and not self._shall_record:
            assert not self.live(), "an egress outlives its buffer's end"

"""What the operator does for a buffer, by what it sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer, StorageStatus
from replay_operator.domain.buffer_status import buffer_status
from replay_operator.domain.decision import Decision, Start, Stop, after_failed_start
from replay_operator.domain.egress import Egress, RecordedPair
from replay_operator.domain.health import length_in_force, stale_limit
from replay_operator.domain.layout import RunPath
from replay_operator.domain.lifecycle import decide, needs_source
from replay_operator.domain.observation import (
    CoverageView,
    LiveKitView,
    Observation,
    SourceView,
    StartMemory,
)
from replay_operator.domain.renewal import DRIFT_MIN_AGE
from replay_operator.domain.starts import after_failure
from replay_operator.domain.status_contract import BufferState
from tests.builders import BUFFER_UID, NAMESPACE, NOW, at, buffer, egress, run_coverage

PAIR = RecordedPair(video="TR_VC1", audio=None)
LISTED = LiveKitView(asked_at=at(-0.1))


def seen(**parts: object) -> Observation:
    base = Observation(
        livekit=LISTED,
        source=SourceView(pair=PAIR, known=True),
        coverage=CoverageView(known=True),
        segment_seconds=6,
        wanted_segment_seconds=6,
        runs={"EG_one": "r1", "EG_two": "r2"},
        prefix_of=lambda run: RunPath(NAMESPACE, BUFFER_UID, run).filename_prefix("/buffer"),
    )
    return replace(base, **parts)  # type: ignore[arg-type] # a test names only real fields


def test_a_source_that_is_there_is_recorded() -> None:
    decision = decide(buffer(), seen(), NOW)
    assert decision.actions == (Start(PAIR),)
    assert decision.state is BufferState.STARTING


def test_nothing_is_started_before_livekit_has_been_listed() -> None:
    decision = decide(buffer(), seen(livekit=LiveKitView()), NOW)
    assert decision.actions == ()
    assert decision.state is BufferState.WAITING_FOR_LIVEKIT
    assert decision.recheck is not None


def test_an_egress_that_is_found_is_adopted_instead_of_started_again() -> None:
    decision = decide(buffer(), seen(livekit=replace(LISTED, egresses=(egress(started=-5),))), NOW)
    assert decision.actions == ()
    assert decision.current is not None
    assert decision.current.id == "EG_one"


def test_recording_is_said_only_when_segments_arrive() -> None:
    running = replace(LISTED, egresses=(egress(started=-5),))
    assert decide(buffer(), seen(livekit=running), NOW).state is BufferState.STARTING
    fresh = CoverageView(runs={"r1": run_coverage()}, known=True)
    assert decide(buffer(), seen(livekit=running, coverage=fresh), NOW).state is BufferState.RECORDING


def test_of_two_egresses_the_one_that_a_worker_holds_is_kept() -> None:
    """LiveKit lists the egress of a dead worker for ever, and a new operator has not seen the worker die."""
    view = replace(LISTED, egresses=(egress("EG_two", run="r2", started=-4), egress("EG_one", started=-5)))
    decision = decide(buffer(), seen(livekit=view, workers={"EG_two": "egress-1"}), NOW)
    assert [a.egress.id for a in decision.actions if isinstance(a, Stop)] == ["EG_one"]


def test_of_two_egresses_of_which_nobody_knows_more_none_is_stopped_before_one_has_a_segment() -> None:
    view = replace(LISTED, egresses=(egress("EG_two", run="r2", started=-4), egress("EG_one", started=-5)))
    assert decide(buffer(), seen(livekit=view), NOW).actions == ()


def test_of_two_egresses_the_older_is_kept() -> None:
    view = replace(LISTED, egresses=(egress("EG_two", run="r2", started=-4), egress("EG_one", started=-5)))
    both = {"EG_one": "egress-1", "EG_two": "egress-1"}
    decision = decide(buffer(), seen(livekit=view, workers=both), NOW)
    assert [a.egress.id for a in decision.actions if isinstance(a, Stop)] == ["EG_two"]
    assert not [a for a in decision.actions if isinstance(a, Start)]


def test_a_run_without_new_segments_is_replaced_though_livekit_calls_it_active() -> None:
    limit = stale_limit(6).total_seconds()
    silent = CoverageView(runs={"r1": run_coverage(arrived=-limit - 0.1)}, known=True)
    view = replace(LISTED, egresses=(egress(started=-300),))
    decision = decide(buffer(), seen(livekit=view, coverage=silent), NOW)
    assert decision.state is BufferState.RUN_SILENT
    assert [type(a) for a in decision.actions] == [Stop, Start]


def test_a_worker_that_is_dead_for_livekit_does_not_keep_its_successor_from_being_current() -> None:
    limit = stale_limit(6).total_seconds()
    dead, young = egress(started=-300), egress("EG_two", run="r2", started=-3)
    coverage = CoverageView(runs={"r1": run_coverage(arrived=-limit - 9)}, known=True)
    decision = decide(buffer(), seen(livekit=replace(LISTED, egresses=(dead, young)), coverage=coverage), NOW)
    assert decision.current == young
    assert [a.egress for a in decision.actions if isinstance(a, Stop)] == [dead]
    assert not [a for a in decision.actions if isinstance(a, Start)]


def test_a_first_segment_is_given_more_time() -> None:
    view = replace(LISTED, egresses=(egress(started=-23),))
    assert decide(buffer(), seen(livekit=view), NOW).state is BufferState.STARTING
    view = replace(LISTED, egresses=(egress(started=-26),))
    assert decide(buffer(), seen(livekit=view), NOW).state is BufferState.RUN_SILENT


def test_unknown_coverage_is_not_death() -> None:
    view = replace(LISTED, egresses=(egress(started=-3000),))
    decision = decide(buffer(), seen(livekit=view, coverage=CoverageView()), NOW)
    assert decision.actions == ()


def test_waiting_for_a_source_is_no_failure_and_looks_again() -> None:
    decision = decide(buffer(), seen(source=SourceView(known=True)), NOW)
    assert decision.state is BufferState.WAITING_FOR_SOURCE
    assert decision.recheck is not None
    assert decision.actions == ()


def test_a_source_that_was_recorded_and_left_is_told_apart_from_one_that_never_came() -> None:
    was = CoverageView(runs={"r1": run_coverage()}, known=True)
    assert decide(buffer(), seen(source=SourceView(known=True), coverage=was), NOW).state is (
        BufferState.SOURCE_GONE
    )


def test_a_suspended_buffer_stops_every_egress() -> None:
    view = replace(LISTED, egresses=(egress(), egress("EG_two", run="r2")))
    decision = decide(buffer(suspend=True), seen(livekit=view), NOW)
    assert decision.state is BufferState.SUSPENDED
    assert {a.egress.id for a in decision.actions if isinstance(a, Stop)} == {"EG_one", "EG_two"}


def test_after_a_start_with_an_unknown_outcome_a_younger_list_must_be_seen_first() -> None:
    memory = after_failure(
        StartMemory(), BufferState.WAITING_FOR_LIVEKIT, "no answer", NOW, outcome_unknown=True
    )
    later = NOW + timedelta(seconds=29)
    still = seen(memory=memory, livekit=LiveKitView(asked_at=later))
    assert decide(buffer(), still, later).actions == ()
    settled = NOW + timedelta(seconds=31)
    listed = seen(memory=memory, livekit=LiveKitView(asked_at=settled))
    assert decide(buffer(), listed, settled).actions == (Start(PAIR),)
    old_list = seen(memory=memory, livekit=LiveKitView(asked_at=later))
    assert decide(buffer(), old_list, settled).actions == ()


def test_failures_back_off_up_to_a_minute() -> None:
    memory = StartMemory()
    waits = []
    for _ in range(9):
        memory = after_failure(memory, BufferState.WAITING_FOR_CAPACITY, "full", NOW, outcome_unknown=False)
        assert memory.retry_at is not None
        waits.append((memory.retry_at - NOW).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_full_fleet_is_a_state_of_its_own() -> None:
    memory = after_failure(
        StartMemory(), BufferState.WAITING_FOR_CAPACITY, "full", NOW, outcome_unknown=False
    )
    decision = decide(buffer(), seen(memory=memory), NOW)
    assert decision.state is BufferState.WAITING_FOR_CAPACITY
    assert decision.recheck == memory.retry_at


FIXED = {"source": {"tracks": {"video": "TR_VC1", "audio": "TR_AM1"}}}


@pytest.mark.parametrize(
    ("spec", "coverage", "wanted"),
    [
        ({}, CoverageView(runs={"r1": run_coverage()}, known=True), False),
        ({}, CoverageView(runs={"r1": run_coverage(arrived=-100)}, known=True), True),
        (FIXED, CoverageView(runs={"r1": run_coverage()}, known=True), False),
        (FIXED, CoverageView(runs={"r1": run_coverage(arrived=-100)}, known=True), True),
        ({"suspend": True}, CoverageView(known=True), False),
    ],
)
def test_a_room_is_looked_up_only_when_no_healthy_run_answers(
    spec: dict[str, object], coverage: CoverageView, wanted: bool
) -> None:
    view = replace(LISTED, egresses=(egress(started=-300),))
    assert needs_source(buffer(**spec), seen(livekit=view, coverage=coverage), NOW) is wanted


STORAGE = StorageStatus(claim_name="replay-buffers", path=f"team/{BUFFER_UID}")


def recorded(current: Egress) -> ReplayBuffer:
    """A buffer whose status says that this egress records."""
    fresh = CoverageView(runs={"r1": run_coverage()}, known=True)
    decision = decide(buffer(), seen(livekit=replace(LISTED, egresses=(current,)), coverage=fresh), NOW)
    status = buffer_status(
        buffer(), decision, fresh, run="r1", worker=None, segment_seconds=6, storage=STORAGE, now=NOW
    )
    return buffer().model_copy(update={"status": status})


def test_an_agent_that_is_silent_for_a_moment_changes_nothing_that_is_said() -> None:
    view = replace(LISTED, egresses=(egress(),))
    decision = decide(recorded(egress()), seen(livekit=view, coverage=CoverageView()), NOW)
    assert decision.state is BufferState.RECORDING
    decision = decide(recorded(egress()), seen(livekit=view, coverage=CoverageView(given_up=True)), NOW)
    assert decision.state is BufferState.UNCERTAIN
    assert decision.actions == ()


def test_livekit_that_is_away_does_not_make_a_recording_buffer_say_otherwise() -> None:
    fresh = CoverageView(runs={"r1": run_coverage()}, known=True)
    away = seen(livekit=LiveKitView(), coverage=fresh)
    decision = decide(recorded(egress()), away, NOW)
    assert decision.state is BufferState.RECORDING
    assert decision.current is not None
    assert decision.current.filename_prefix == egress().filename_prefix
    silent = CoverageView(runs={"r1": run_coverage(arrived=-100)}, known=True)
    decision = decide(recorded(egress()), seen(livekit=LiveKitView(), coverage=silent), NOW)
    assert decision.state is BufferState.WAITING_FOR_LIVEKIT
    assert decision.actions == ()


def handing_over(*egresses: Egress, covered: tuple[str, ...] = (), **parts: object) -> Observation:
    """One observation of several egresses of a buffer, of which some runs have segments."""
    runs = {run: run_coverage(run) for run in covered}
    return seen(
        livekit=replace(LISTED, egresses=egresses),
        coverage=CoverageView(runs=runs, known=True),
        **parts,
    )


OLD, NEW = egress("EG_one", run="r1", started=-300), egress("EG_two", run="r2", started=-3)


def actions(decision: Decision) -> list[tuple[str, str]]:
    return [
        ("stop", a.egress.id) if isinstance(a, Stop) else ("start", str(a.pair.video))
        for a in decision.actions
    ]


def test_a_worker_that_is_told_to_go_is_replaced_before_it_goes() -> None:
    doomed = frozenset({"EG_one"})
    first = decide(recorded(OLD), handing_over(OLD, covered=("r1",), doomed=doomed), NOW)
    assert actions(first) == [("start", "TR_VC1")]
    assert first.state is BufferState.RECORDING, "the old run goes on"
    waiting = decide(recorded(OLD), handing_over(OLD, NEW, covered=("r1",), doomed=doomed), NOW)
    assert actions(waiting) == []
    assert waiting.current == OLD
    done = decide(recorded(OLD), handing_over(OLD, NEW, covered=("r1", "r2"), doomed=doomed), NOW)
    assert actions(done) == [("stop", "EG_one")]
    assert done.current == NEW


def test_a_successor_on_the_same_doomed_worker_is_stopped_and_asked_for_again_later() -> None:
    doomed = frozenset({"EG_one", "EG_two"})
    both = handing_over(OLD, NEW, covered=("r1",), doomed=doomed)
    decision = decide(recorded(OLD), both, NOW)
    assert actions(decision) == [("stop", "EG_two")]
    assert decision.current == OLD
    again = handing_over(OLD, covered=("r1",), doomed=doomed, memory=decision.memory)
    assert actions(decide(recorded(OLD), again, NOW)) == [], "not at once"
    later = replace(again, livekit=replace(again.livekit, asked_at=at(2)))
    assert actions(decide(recorded(OLD), later, at(3))) == [("start", "TR_VC1")]


def test_a_run_is_renewed_at_its_maximum_age() -> None:
    old = handing_over(OLD, covered=("r1",), max_run_age=timedelta(seconds=299))
    assert actions(decide(recorded(OLD), old, NOW)) == [("start", "TR_VC1")]
    young = handing_over(OLD, covered=("r1",), max_run_age=timedelta(seconds=400))
    assert actions(decide(recorded(OLD), young, NOW)) == []


def test_another_length_of_segments_hands_over_and_stops_nothing_healthy() -> None:
    # Its newest segment came 9 s ago: too long for segments of 2 s, and just right for those of 10 s.
    run = run_coverage(newest=-20, arrived=-9).model_copy(update={"segment_seconds": 10})
    coverage = CoverageView(runs={"r1": run}, known=True, as_of=NOW)
    in_force = length_in_force(2, coverage, ["r1"])
    assert in_force == 10
    view = handing_over(OLD, segment_seconds=in_force, wanted_segment_seconds=2)
    decision = decide(recorded(OLD), replace(view, coverage=coverage), NOW)
    assert actions(decision) == [("start", "TR_VC1")]
    assert decision.state is BufferState.RECORDING
    same = replace(view, coverage=coverage, wanted_segment_seconds=10)
    assert actions(decide(recorded(OLD), same, NOW)) == []


def test_of_two_runs_the_longer_segments_are_reckoned_with_and_of_none_those_that_are_wanted() -> None:
    runs = {
        name: run_coverage(run=name).model_copy(update={"segment_seconds": seconds})
        for name, seconds in (("old", 10), ("new", 2), ("nobody knows", None))
    }
    coverage = CoverageView(runs=runs, known=True)
    assert length_in_force(2, coverage, ["old", "new", "nobody knows"]) == 10
    assert length_in_force(4, coverage, ["nobody knows", "not on disk yet"]) == 4


def test_sound_that_comes_late_starts_a_run_with_both() -> None:
    wish = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}
    both = SourceView(pair=RecordedPair(video="TR_VC1", audio="TR_AM1"), known=True)
    silent = handing_over(OLD, covered=("r1",), source=both)
    assert needs_source(buffer(source=wish), silent, NOW)
    decision = decide(buffer(source=wish), silent, NOW)
    assert decision.actions == (Start(RecordedPair(video="TR_VC1", audio="TR_AM1")),)


@pytest.mark.parametrize(
    ("shift", "wanted"),
    [(1001, [("start", "TR_VC1")]), (-501, [("start", "TR_VC1")]), (-500, []), (1000, [])],
)
def test_a_run_whose_clock_has_jumped_is_renewed_however_young_it_is(
    shift: int, wanted: list[tuple[str, str]]
) -> None:
    young = egress(started=-20)
    run = run_coverage().model_copy(update={"clock_shift_milliseconds": shift})
    view = replace(handing_over(young), coverage=CoverageView(runs={"r1": run}, known=True))
    assert actions(decide(recorded(young), view, NOW)) == wanted


def test_a_source_that_nobody_can_look_up_changes_nothing() -> None:
    unknown = handing_over(OLD, covered=("r1",), source=SourceView())
    assert decide(recorded(OLD), unknown, NOW).actions == ()


def test_a_worker_that_is_gone_is_not_waited_for() -> None:
    decision = decide(recorded(OLD), handing_over(OLD, covered=("r1",), lost=frozenset({"EG_one"})), NOW)
    assert actions(decision) == [("start", "TR_VC1"), ("stop", "EG_one")], (
        "LiveKit takes 3 s to refuse the stop"
    )
    assert decision.state is BufferState.WORKER_LOST


def test_a_hand_over_that_finds_no_worker_leaves_the_buffer_recording() -> None:
    doomed = frozenset({"EG_one"})
    decision = decide(recorded(OLD), handing_over(OLD, covered=("r1",), doomed=doomed), NOW)
    memory = after_failure(
        decision.memory, BufferState.WAITING_FOR_CAPACITY, "full", NOW, outcome_unknown=False
    )
    failed = after_failed_start(decision, memory)
    assert failed.state is BufferState.RECORDING
    assert failed.recheck == memory.retry_at


def test_a_buffer_beyond_the_limit_waits_and_one_that_records_goes_on() -> None:
    decision = decide(buffer(), seen(refusal="Too many."), NOW)
    assert (decision.state, decision.actions) == (BufferState.WAITING_FOR_ADMISSION, ())
    assert decision.recheck is not None
    assert decide(recorded(OLD), handing_over(OLD, covered=("r1",), refusal="Too many."), NOW).state is (
        BufferState.RECORDING
    )


def test_a_run_whose_clock_drifts_is_handed_over_once_it_is_old_enough() -> None:
    def drifting(age: timedelta, late: float) -> Observation:
        old = egress(started=-age.total_seconds())
        run = run_coverage(newest=-7 - late, arrived=-1)
        return seen(
            livekit=replace(LISTED, egresses=(old,)), coverage=CoverageView(runs={"r1": run}, known=True)
        )

    assert actions(decide(buffer(), drifting(DRIFT_MIN_AGE, 4), NOW)) == [("start", "TR_VC1")]
    assert actions(decide(buffer(), drifting(DRIFT_MIN_AGE, 2), NOW)) == []
    assert actions(decide(buffer(), drifting(DRIFT_MIN_AGE, -2), NOW)) == [("start", "TR_VC1")]
    assert actions(decide(buffer(), drifting(DRIFT_MIN_AGE - timedelta(seconds=1), 4), NOW)) == []


def test_when_many_runs_fall_silent_at_once_nothing_is_touched() -> None:
    silent = CoverageView(runs={"r1": run_coverage(arrived=-100)}, known=True)
    view = replace(LISTED, egresses=(egress(started=-300),))
    held = seen(livekit=view, coverage=silent, may_restart=lambda: False)
    decision = decide(buffer(), held, NOW)
    assert (decision.state, decision.actions) == (BufferState.UNCERTAIN, ())
    assert decision.recheck is not None


def test_the_successor_with_late_sound_is_not_taken_for_a_double() -> None:
    wish = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}
    both = replace(NEW, audio_track="TR_AM1")
    handover = handing_over(OLD, both, covered=("r1",), source=SourceView())
    assert needs_source(buffer(source=wish), handover, NOW), "the old run's reason to go must stay visible"
    pair = RecordedPair(video="TR_VC1", audio="TR_AM1")
    looked_up = replace(handover, source=SourceView(pair=pair, known=True))
    assert actions(decide(buffer(source=wish), looked_up, NOW)) == []


def test_a_run_that_broke_before_its_first_segment_is_not_started_again_at_once() -> None:
    first = decide(buffer(), seen(), NOW)
    broke = decide(buffer(), seen(memory=first.memory), NOW)
    assert (broke.state, broke.actions) == (BufferState.EGRESS_ENDED, ())
    assert broke.recheck == at(1)
    listed = LiveKitView(asked_at=at(1))
    again = decide(buffer(), seen(memory=broke.memory, livekit=listed), at(1))
    assert actions(again) == [("start", "TR_VC1")]
    assert decide(buffer(), seen(memory=again.memory, livekit=listed), at(1)).recheck == at(3), (
        "twice as long"
    )


def test_a_successor_that_broke_before_its_first_segment_is_not_started_again_at_once() -> None:
    old = handing_over(OLD, covered=("r1",), doomed=frozenset({"EG_one"}))
    first = decide(recorded(OLD), old, NOW)
    broke = decide(recorded(OLD), replace(old, memory=first.memory), NOW)
    assert (broke.state, broke.actions) == (BufferState.RECORDING, ())
    assert broke.recheck == at(1)


def test_a_suspended_buffer_is_looked_at_until_nothing_records_for_it() -> None:
    view = replace(LISTED, egresses=(egress(),))
    assert decide(buffer(suspend=True), seen(livekit=view), NOW).recheck is not None, "the stop may fail"
    assert decide(buffer(suspend=True), seen(), NOW).recheck is None


def test_an_agent_whose_word_is_old_does_not_make_a_run_look_dead() -> None:
    limit = stale_limit(6).total_seconds()
    old_word = CoverageView(
        runs={"r1": run_coverage(newest=-limit - 11, arrived=-limit - 4)}, known=True, as_of=at(-9)
    )
    view = replace(LISTED, egresses=(egress(started=-300),))
    decision = decide(recorded(egress(started=-300)), seen(livekit=view, coverage=old_word), NOW)
    assert (decision.state, decision.actions) == (BufferState.RECORDING, ())
    assert decision.recheck is not None
    assert decision.recheck > NOW


def test_a_dead_record_beside_a_healthy_run_does_not_ask_the_breaker() -> None:
    limit = stale_limit(6).total_seconds()
    runs = {"r1": run_coverage(arrived=-limit - 9), "r2": run_coverage("r2")}
    both = replace(LISTED, egresses=(egress(started=-300), egress("EG_two", run="r2", started=-200)))
    held = seen(livekit=both, coverage=CoverageView(runs=runs, known=True), may_restart=lambda: False)
    assert decide(buffer(), held, NOW).state is BufferState.RECORDING


def test_without_a_word_about_the_source_a_run_of_other_tracks_is_no_double() -> None:
    wish = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}
    both = handing_over(OLD, replace(NEW, audio_track="TR_AM1"), covered=("r1",), source=SourceView())
    assert actions(decide(buffer(source=wish), both, NOW)) == []
    same = handing_over(OLD, NEW, covered=("r1",), source=SourceView())
    assert actions(decide(buffer(source=wish), same, NOW)) == [("stop", "EG_two")]


def test_two_runs_of_other_tracks_are_a_reason_to_look_the_room_up() -> None:
    both = handing_over(OLD, replace(NEW, video_track="TR_VC2"), covered=("r1", "r2"))
    assert needs_source(buffer(), both, NOW)
    assert not needs_source(buffer(), handing_over(OLD, NEW, covered=("r1", "r2")), NOW)


def test_a_source_that_has_gone_does_not_make_a_lost_answer_forgotten() -> None:
    memory = after_failure(
        StartMemory(), BufferState.WAITING_FOR_LIVEKIT, "no answer", NOW, outcome_unknown=True
    )
    gone = decide(buffer(), seen(memory=memory, source=SourceView(known=True)), at(1))
    back = seen(memory=gone.memory, livekit=LiveKitView(asked_at=at(4)))
    assert decide(buffer(), back, at(5)).actions == ()

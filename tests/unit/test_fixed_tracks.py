"""Fixed track ids: recorded while they are published, ended for good when they are gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus, TrackSource, WindowStatus
from replay_operator.domain.decision import Start
from replay_operator.domain.egress import Participant, PublishedTrack, RecordedPair, TrackKind
from replay_operator.domain.lifecycle import GONE_FOR_GOOD, decide, needs_source
from replay_operator.domain.observation import CoverageView, LiveKitView, Observation, SourceView, StartMemory
from replay_operator.domain.source import still_published
from replay_operator.domain.status_contract import BUFFER_CONTRACT, BufferState, conditions_of
from tests.builders import NOW, at, buffer, egress, run_coverage

TRACKS = {"video": "TR_VC1", "audio": "TR_AM1"}
VIDEO = PublishedTrack("TR_VC1", TrackKind.VIDEO, "SCREEN_SHARE")
AUDIO = PublishedTrack("TR_AM1", TrackKind.AUDIO, "MICROPHONE")
GONE = SourceView(known=True)


def fixed(**status: object) -> ReplayBuffer:
    plain = buffer(source={"tracks": TRACKS})
    return plain.model_copy(update={"status": ReplayBufferStatus.model_validate(status)})


def ended(state: BufferState, *, generation: int = 1) -> ReplayBuffer:
    conditions = conditions_of(
        (), BUFFER_CONTRACT[state], reason=state.value, message="why", generation=generation, now=NOW
    )
    return fixed(conditions=conditions, observed_generation=generation)


def seen(
    source: SourceView, *, memory: StartMemory | None = None, now: datetime = NOW, **parts: object
) -> Observation:
    base = Observation(
        livekit=LiveKitView(asked_at=now),
        source=source,
        coverage=CoverageView(known=True),
        segment_seconds=6,
        wanted_segment_seconds=6,
        runs={"EG_one": "r1"},
        prefix_of=lambda run: f"/buffer/{run}/seg",
        memory=memory or StartMemory(),
    )
    return replace(base, **parts)  # type: ignore[arg-type] # a test names only real fields


@pytest.mark.parametrize(
    ("people", "pair"),
    [
        ((Participant("a", (VIDEO,)), Participant("b", (AUDIO,))), RecordedPair("TR_VC1", "TR_AM1")),
        ((Participant("a", (VIDEO,)),), RecordedPair("TR_VC1", None)),
        ((Participant("a", ()),), None),
        (None, None),
    ],
)
def test_what_is_still_published_is_recorded(
    people: tuple[Participant, ...] | None, pair: RecordedPair | None
) -> None:
    assert still_published(TrackSource(video="TR_VC1", audio="TR_AM1"), people) == pair


def test_tracks_that_are_published_are_recorded() -> None:
    pair = RecordedPair("TR_VC1", "TR_AM1")
    decision = decide(fixed(), seen(SourceView(pair=pair, known=True)), NOW)
    assert decision.actions == (Start(pair),)


def test_ids_that_nobody_publishes_are_refused_after_a_while_and_no_egress_is_asked_for() -> None:
    first = decide(fixed(), seen(GONE), NOW)
    assert (first.state, first.actions) == (BufferState.WAITING_FOR_SOURCE, ())
    later = NOW + GONE_FOR_GOOD
    last = decide(fixed(), seen(GONE, memory=first.memory, now=later), later)
    assert (last.state, last.actions) == (BufferState.TRACK_NOT_FOUND, ())
    assert "spec.source.participant" in last.message
    assert last.recheck is None


def test_tracks_that_were_recorded_and_are_gone_end_the_buffer_for_good() -> None:
    was = fixed(window=WindowStatus(seconds=30).model_dump())
    first = decide(was, seen(GONE), NOW)
    assert first.state is BufferState.SOURCE_GONE
    later = NOW + GONE_FOR_GOOD
    last = decide(was, seen(GONE, memory=first.memory, now=later), later)
    assert (last.state, last.actions, last.recheck) == (BufferState.ENDED, (), None)


def test_tracks_that_come_back_in_time_are_recorded_and_waited_for_anew_later() -> None:
    first = decide(fixed(), seen(GONE), NOW)
    back = SourceView(pair=RecordedPair("TR_VC1", None), known=True)
    started = decide(fixed(), seen(back, memory=first.memory, now=at(5)), at(5))
    assert started.actions
    assert started.memory.gone_since is None


@pytest.mark.parametrize("state", [BufferState.ENDED, BufferState.TRACK_NOT_FOUND])
def test_a_buffer_that_has_ended_for_good_asks_nobody_and_says_the_same_for_ever(state: BufferState) -> None:
    nobody = seen(SourceView())
    assert not needs_source(ended(state), nobody, NOW)
    decision = decide(ended(state), nobody, NOW)
    assert (decision.state, decision.message, decision.actions, decision.recheck) == (state, "why", (), None)
    away = replace(nobody, livekit=LiveKitView())
    assert decide(ended(state), away, NOW).state is state


def test_a_changed_spec_is_looked_at_anew() -> None:
    old = ended(BufferState.TRACK_NOT_FOUND)
    changed = old.model_copy(update={"metadata": old.metadata.model_copy(update={"generation": 2})})
    assert needs_source(changed, seen(SourceView()), NOW)


def test_an_egress_that_is_found_after_all_is_followed() -> None:
    found = seen(
        SourceView(),
        livekit=LiveKitView(asked_at=NOW, egresses=(egress(started=-60),)),
        coverage=CoverageView(runs={"r1": run_coverage()}, known=True),
    )
    assert decide(ended(BufferState.ENDED), found, NOW).state is BufferState.RECORDING

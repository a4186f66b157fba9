"""What a decision about a buffer looks at, in the words of the domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from replay_operator.api.agent import RunCoverage
from replay_operator.domain.egress import Egress, RecordedPair
from replay_operator.domain.status_contract import BufferState


@dataclass(frozen=True, slots=True)
class LiveKitView:
    """What LiveKit says about one buffer.

    `egresses` are those that write below the buffer's directory and are not over. `asked_at` is when that
    list was asked for, None before the first answer; a list older than an action proves nothing about it.
    `ended` is the last record of the last run that ended without our stop and while its source was there,
    until the next one records. `forgotten` are the ids of egresses that it should know of and has neither in
    its list nor as a record: a LiveKit that has lost its memory says the same as one that tells the truth.
    """

    egresses: tuple[Egress, ...] = ()
    asked_at: datetime | None = None
    ended: Egress | None = None
    forgotten: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SourceView:
    """What there is to record now. `known` is false when nobody could say."""

    pair: RecordedPair | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class CoverageView:
    """What lies on disk.

    `known` is false when the agent is away or has not seen everything yet; `given_up` when that lasts so long
    that the status must say so. Between the two, what was true before is still said: a restart of operator
    or agent causes no write. `as_of` is when the agent looked, by its own clock, as all its times are: a word
    that is a few seconds old must not be read as silence of the runs.
    """

    runs: Mapping[str, RunCoverage] = field(default_factory=dict)
    known: bool = False
    given_up: bool = False
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class StartMemory:
    """What must be remembered between two decisions, and may be lost in a crash.

    `list_needed_after`: no start before a list that was asked later than this has been seen, because an
    egress whose answer was lost may exist. `begun`: a start was answered, and no segment of it has been seen.
    `failure` is the state that a buffer waits in after a failed start. `gone_since`: since then fixed tracks
    have not been in their room.
    """

    failures: int = 0
    retry_at: datetime | None = None
    list_needed_after: datetime | None = None
    begun: bool = False
    failure: BufferState | None = None
    message: str = ""
    gone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a decision looks at.

    `segment_seconds` is the length in force; `wanted_segment_seconds` what the next run is asked for.
    `runs` names the run of each egress id; `prefix_of` gives the filename prefix of a run of this buffer.
    `workers` names the pod of each egress id, where that is known; `doomed` are the egresses whose worker is
    told to go, `lost` those whose worker is gone, `starved` those that should leave a worker without CPU.
    After `max_run_age` a run is renewed. Everything before `flush_until` is wanted on disk as soon as that
    time has come. `source_due`: the room was not looked up for long, or somebody tells of a change there.
    `refusal` says why a new recording must wait for its admission; `may_restart` whether
    a run that fell silent may be replaced now (see `breaker`).
    """

    livekit: LiveKitView
    source: SourceView
    coverage: CoverageView
    segment_seconds: int
    wanted_segment_seconds: int
    runs: Mapping[str, str]
    prefix_of: Callable[[str], str]
    memory: StartMemory = field(default_factory=StartMemory)
    workers: Mapping[str, str] = field(default_factory=dict)
    doomed: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    starved: frozenset[str] = frozenset()
    max_run_age: timedelta = timedelta(hours=2)
    flush_until: datetime | None = None
    source_due: bool = False
    refusal: str | None = None
    may_restart: Callable[[], bool] = lambda: True

"""What the checks judge: facts about one install, each of which may have been out of sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias, TypeVar

from replay_operator.api.volume_facts import AgentFacts
from replay_operator.domain.checks.clocks import ClockBounds
from replay_operator.domain.checks.objects import (
    AutoscalerFacts,
    BudgetFacts,
    ClaimFacts,
    PodFacts,
    SecretUse,
)
from replay_operator.domain.checks.verdict import Unseen
from replay_operator.domain.leadership import LeaseRecord
from replay_operator.domain.upload_target import UploadTarget

T = TypeVar("T")
Seen: TypeAlias = T | Unseen

NOT_ASKED = Unseen("nobody asked", "report this: a probe is missing")


@dataclass(frozen=True, slots=True)
class Choices:
    """What the settings of the install decide, as far as a check needs it (docs/operations.md)."""

    buffer_claim: str
    buffer_access_mode: str
    archive_claim: str
    archive_access_mode: str
    buffer_root: str
    segment_seconds: int
    fleet: str
    fleet_selector: str
    buffers_per_worker: int
    fleet_min: int
    fleet_max: int
    max_buffers: int | None
    capture_image: str


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """The variables that were given, and how reading them went.

    Attributes:
        source: Where they are from.
        error: Why they cannot be read; empty when they can.
        unknown: Names that begin like a setting and are none, each with the one that it may have meant.
        changed_at: When they were changed after the operator had started; None when they were not.
        target: The bucket that they name; None: none, or none that could be read.
    """

    source: str
    error: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)
    changed_at: datetime | None = None
    target: UploadTarget | None = None


@dataclass(frozen=True, slots=True)
class LiveKitFacts:
    """What LiveKit said to the key: an empty text is a yes, else why not."""

    url: str
    rooms_error: str
    egress_error: str
    active_egresses: int


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What a worker said on its health port.

    Attributes:
        kinds: Kind of request, such as TrackComposite, by egress id.
        available_cores: CPU that is left, in cores.
    """

    kinds: Mapping[str, str]
    available_cores: float


@dataclass(frozen=True, slots=True)
class PreviewFacts:
    """What became of an address that was signed as the operator signs them, for a buffer that nobody has.

    Attributes:
        has_url: It is known where browsers reach the agent.
        has_key: There is a key that is long enough.
        port: On which the agent shows; None: on none.
        status: Of its answer; None: there was none.
    """

    has_url: bool
    has_key: bool
    port: int | None
    status: int | None


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """What the endpoint of object storage said of the bucket to somebody without credentials.

    Attributes:
        endpoint: Base URL of the S3 API.
        name: Of the bucket.
        status: Of the answer; None: there was none.
    """

    endpoint: str
    name: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Scraping:
    """Who collects metrics: monitors of the Prometheus operator in the namespace, by their selectors."""

    monitors: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was gathered at about one moment. None is a fact too: it does not exist, or is off.

    `agent_error` is why the agent did not answer to somebody whom it should have answered.
    """

    version: str
    namespace: str
    now: datetime
    settings: Seen[SettingsFacts] = NOT_ASKED
    choices: Seen[Choices] = NOT_ASKED
    livekit: Seen[LiveKitFacts] = NOT_ASKED
    definitions: Seen[tuple[str, ...]] = NOT_ASKED
    operator_pods: Seen[tuple[PodFacts, ...]] = NOT_ASKED
    agent_pods: Seen[tuple[PodFacts, ...]] = NOT_ASKED
    workers: Seen[tuple[PodFacts, ...]] = NOT_ASKED
    answers: Seen[Mapping[str, WorkerAnswer | None]] = NOT_ASKED
    agent: Seen[AgentFacts] = NOT_ASKED
    agent_error: str = ""
    preview: Seen[PreviewFacts | None] = NOT_ASKED
    bucket: Seen[BucketFacts | None] = NOT_ASKED
    buffer_claim: Seen[ClaimFacts | None] = NOT_ASKED
    archive_claim: Seen[ClaimFacts | None] = NOT_ASKED
    autoscaler: Seen[AutoscalerFacts | None] = NOT_ASKED
    budgets: Seen[tuple[BudgetFacts, ...]] = NOT_ASKED
    lease: Seen[LeaseRecord | None] = NOT_ASKED
    secret_uses: Seen[tuple[SecretUse, ...]] = NOT_ASKED
    secret_keys: Mapping[str, Seen[frozenset[str] | None]] = field(default_factory=dict)
    scraping: Seen[Scraping] = NOT_ASKED
    clocks: tuple[ClockBounds, ...] = ()
    clocks_unseen: Mapping[str, str] = field(default_factory=dict)

"""A healthy install as facts, for tests that break one thing of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from replay_operator.api.volume_facts import AgentFacts, VolumeFacts
from replay_operator.domain.checks.checklist import CHECKS, Finding, examine
from replay_operator.domain.checks.clocks import HERE, ClockBounds
from replay_operator.domain.checks.facts import (
    BucketFacts,
    Choices,
    Facts,
    LiveKitFacts,
    PreviewFacts,
    Scraping,
    SettingsFacts,
    WorkerAnswer,
)
from replay_operator.domain.checks.objects import (
    AutoscalerFacts,
    BudgetFacts,
    ClaimFacts,
    MountFacts,
    PodFacts,
    SecretUse,
)
from replay_operator.domain.leadership import LeaseRecord

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GIB = 1024**3

FLEET = {"app.kubernetes.io/name": "livekit-egress", "app.kubernetes.io/component": "fleet"}


def pod(name: str, **changes: Any) -> PodFacts:
    facts = PodFacts(
        name=name,
        node="node-1",
        ip="10.0.0.1",
        ready=True,
        terminating=False,
        started_at=NOW,
        trouble="",
        labels=FLEET,
        annotations={},
        grace_seconds=3600,
        image="livekit/egress:v1.14.1",
        mounts=(MountFacts("replay-buffers", "/buffer", read_only=False),),
        requests={"cpu": "2", "memory": "2Gi"},
        limits={"cpu": "4", "memory": "4Gi"},
        run_as_group=0,
        groups=frozenset({0}),
    )
    return replace(facts, **changes)


AGENT_POD = pod(
    "replay-agent-1",
    image="replay-operator:0.1.0",
    labels={"app.kubernetes.io/name": "replay-agent"},
    mounts=(
        MountFacts("replay-buffers", "/buffer", read_only=False),
        MountFacts("replay-archive", "/archive", read_only=False),
    ),
    run_as_group=None,
)
OPERATOR_POD = pod(
    "replay-operator-1",
    image="replay-operator:0.1.0",
    labels={"app.kubernetes.io/name": "replay-operator"},
    mounts=(),
    run_as_group=None,
)


def volume(path: str, **changes: Any) -> VolumeFacts:
    facts = VolumeFacts(
        path=path,
        mount_point=path,
        file_system="xfs",
        source="/dev/nvme1n1",
        options=("rw", "noatime"),
        total_bytes=100 * GIB,
        free_bytes=80 * GIB,
        total_inodes=1000,
        free_inodes=900,
        writable=True,
        owner_uid=0,
        owner_gid=0,
        mode="2775",
    )
    return facts.model_copy(update=changes)


def claim(name: str, **changes: Any) -> ClaimFacts:
    facts = ClaimFacts(
        name=name,
        phase="Bound",
        storage_class="fast-ssd",
        access_modes=("ReadWriteOnce",),
        volume_mode="Filesystem",
        capacity="20Gi",
        conditions={},
    )
    return replace(facts, **changes)


AGENT = AgentFacts(version="0.1.0", clock=NOW, buffer=volume("/buffer"), archive=volume("/archive"))

BUCKET = BucketFacts("https://s3.example.com", "clips", status=403)
PREVIEW = PreviewFacts(has_url=True, has_key=True, port=8481, status=404)

CHOICES = Choices(
    buffer_claim="replay-buffers",
    buffer_access_mode="ReadWriteOnce",
    archive_claim="replay-archive",
    archive_access_mode="ReadWriteOnce",
    buffer_root="/buffer",
    segment_seconds=10,
    fleet="livekit-egress",
    fleet_selector="app.kubernetes.io/name=livekit-egress",
    buffers_per_worker=4,
    fleet_min=2,
    fleet_max=20,
    max_buffers=None,
    capture_image="replay-operator:0.1.0",
)

AUTOSCALER = AutoscalerFacts(
    name="livekit-egress",
    minimum=2,
    maximum=20,
    floor_owner=None,
    target="livekit-egress",
    conditions={"AbleToScale": ("True", "ReadyForNewScale"), "ScalingActive": ("True", "ValidMetricFound")},
)

LEASE = LeaseRecord(
    version="1", holder="replay-operator-1", lease_seconds=12, transitions=1, acquired_at=NOW, renewed_at=NOW
)

HEALTHY = Facts(
    version="0.1.0",
    namespace="replay",
    now=NOW,
    settings=SettingsFacts("ConfigMap replay-operator-settings"),
    choices=CHOICES,
    livekit=LiveKitFacts("ws://livekit:7880", "", "", 3),
    definitions=(),
    operator_pods=(OPERATOR_POD,),
    agent_pods=(AGENT_POD,),
    workers=(pod("worker-1"), pod("worker-2", ip="10.0.0.2")),
    answers={"worker-1": WorkerAnswer({"EG_1": "TrackComposite"}, 1.5), "worker-2": WorkerAnswer({}, 2.0)},
    agent=AGENT,
    preview=PREVIEW,
    bucket=BUCKET,
    buffer_claim=claim("replay-buffers"),
    archive_claim=claim("replay-archive"),
    autoscaler=AUTOSCALER,
    budgets=(BudgetFacts("livekit-egress", FLEET),),
    lease=LEASE,
    secret_uses=(SecretUse("replay-operator-livekit", "api-key", "worker-1", started=True),),
    secret_keys={"replay-operator-livekit": frozenset({"api-key", "api-secret", "url"})},
    scraping=Scraping(
        (
            FLEET,
            {"app.kubernetes.io/name": "replay-agent"},
            {"app.kubernetes.io/name": "replay-operator"},
        )
    ),
    clocks=(ClockBounds(HERE, 0, 0), ClockBounds("the API server", -0.02, 0.03)),
)


def finding(name: str, **changes: Any) -> Finding:
    """What one check says of the healthy install with something changed."""
    check = next(check for check in CHECKS if check.name == name)
    (found,) = examine(replace(HEALTHY, **changes), (check,))
    return found

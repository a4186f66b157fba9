"""What may be wrong with an install, one thing at a time, and which check says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from replay_operator.api.agent import VolumeSpace
from replay_operator.domain.checks.clocks import ClockBounds
from replay_operator.domain.checks.facts import (
    NOT_ASKED,
    LiveKitFacts,
    Scraping,
    SettingsFacts,
    WorkerAnswer,
)
from replay_operator.domain.checks.objects import BudgetFacts, MountFacts, SecretUse
from replay_operator.domain.checks.verdict import Level
from tests.unit.doctor_world import (
    AGENT,
    AGENT_POD,
    AUTOSCALER,
    BUCKET,
    CHOICES,
    FLEET,
    GIB,
    HEALTHY,
    LEASE,
    NOW,
    OPERATOR_POD,
    PREVIEW,
    claim,
    pod,
    volume,
)

PASS, WARN, FAIL = Level.PASS, Level.WARN, Level.FAIL


def choosing(**changes: Any) -> dict[str, Any]:
    return {"choices": replace(CHOICES, **changes)}


def agent(**changes: Any) -> dict[str, Any]:
    return {"agent": AGENT.model_copy(update=changes)}


def buffer(**changes: Any) -> dict[str, Any]:
    return agent(buffer=volume("/buffer", **changes))


def floor(archive_free_bytes: int = 80 * GIB, **changes: Any) -> dict[str, Any]:
    space = VolumeSpace(size_bytes=100 * GIB, free_bytes=80 * GIB, floor_bytes=5 * GIB)
    archive = volume("/archive", free_bytes=archive_free_bytes)
    return agent(space=space.model_copy(update=changes), archive=archive)


def nfs(*options: str) -> dict[str, Any]:
    # As /proc/self/mountinfo has them for `nfsvers=4.1,hard,actimeo=1,...`: noatime means nothing there.
    times = ["acregmin=1", "acregmax=1", "acdirmin=1", "acdirmax=1"]
    best = ["rw", "relatime", "vers=4.1", "hard", "local_lock=none", "rsize=1048576", "wsize=1048576", *times]
    wrong = [option.partition("=")[0] for option in options]
    kept = [option for option in best if option.partition("=")[0] not in wrong]
    if "soft" in options:
        kept.remove("hard")
    return buffer(file_system="nfs4", source="files:/export", options=(*kept, *options))


def showing(**changes: Any) -> dict[str, Any]:
    return {"preview": replace(PREVIEW, **changes)}


def workers(**changes: Any) -> dict[str, Any]:
    return {"workers": (pod("worker-1", **changes), pod("worker-2", **changes))}


def scaling(**changes: Any) -> dict[str, Any]:
    return {"autoscaler": replace(AUTOSCALER, **changes)}


BROKEN = [
    ("preview", PASS, "is not set", {"preview": None}),
    ("preview", FAIL, "REPLAY_PREVIEW_URL is not set", showing(has_url=False)),
    ("preview", FAIL, "no preview-key of 32 bytes", showing(has_key=False, status=None)),
    ("preview", FAIL, "REPLAY_AGENT_PREVIEW_PORT", showing(port=None, status=None)),
    ("preview", FAIL, "does not answer", showing(status=None)),
    ("preview", FAIL, "the same Secret", showing(status=403)),
    ("preview", WARN, "not read its volume yet", showing(status=503)),
    ("preview", WARN, "answered with 200", showing(status=200)),
    ("object-storage", PASS, "is not set", {"bucket": None}),
    ("object-storage", FAIL, "does not answer", {"bucket": replace(BUCKET, status=None)}),
    ("object-storage", FAIL, "no bucket clips", {"bucket": replace(BUCKET, status=404)}),
    ("object-storage", FAIL, "do not follow", {"bucket": replace(BUCKET, status=301)}),
    ("object-storage", WARN, "answered with 503", {"bucket": replace(BUCKET, status=503)}),
    (
        "settings",
        WARN,
        "did you mean REPLAY_FLEET",
        {"settings": SettingsFacts("x", unknown={"REPLAY_FLET": "REPLAY_FLEET"})},
    ),
    ("settings", WARN, "rollout restart", {"settings": SettingsFacts("x", changed_at=NOW)}),
    (
        "settings",
        FAIL,
        "REPLAY_WORKERS: no integer",
        {"settings": SettingsFacts("x", "REPLAY_WORKERS: no integer")},
    ),
    ("combinations", FAIL, "REPLAY_FLEET_MIN 30", choosing(fleet_min=30)),
    ("combinations", WARN, "80 places", choosing(max_buffers=81)),
    ("combinations", PASS, "fit", choosing(max_buffers=80)),
    ("combinations", WARN, "clips fill it", choosing(archive_claim="replay-buffers")),
    ("combinations", WARN, "30.7 s", choosing(segment_seconds=15)),
    ("combinations", PASS, "fit", choosing(segment_seconds=2)),
    ("combinations", WARN, "network volume", choosing(segment_seconds=2) | nfs()),
    ("combinations", WARN, "capture Jobs run other:1", choosing(capture_image="other:1")),
    ("definitions", FAIL, "spec.room is missing", {"definitions": ("spec.room is missing",)}),
    ("operator", FAIL, "no pod", {"operator_pods": ()}),
    (
        "operator",
        FAIL,
        "CrashLoopBackOff",
        {"operator_pods": (replace(OPERATOR_POD, ready=False, trouble="CrashLoopBackOff"),)},
    ),
    ("operator", PASS, "ready", {"operator_pods": (replace(OPERATOR_POD, ready=False), OPERATOR_POD)}),
    ("lease", FAIL, "no operator has ever led", {"lease": None}),
    ("lease", FAIL, "nobody holds", {"lease": replace(LEASE, holder="")}),
    ("lease", FAIL, "13 s ago", {"lease": replace(LEASE, renewed_at=NOW - timedelta(seconds=13))}),
    ("lease", PASS, "2 s ago", {"lease": replace(LEASE, renewed_at=NOW - timedelta(seconds=2))}),
    ("agent", FAIL, "no pod", {"agent_pods": ()}),
    ("agent", FAIL, "gave no answer", {"agent": NOT_ASKED, "agent_error": "the agent gave no answer"}),
    ("agent", WARN, "2 agents", {"agent_pods": (AGENT_POD, AGENT_POD)}),
    ("agent", FAIL, "no token", agent(not_ready="the token directory holds no token")),
    ("agent", WARN, "runs 0.0.9", agent(version="0.0.9")),
    ("secrets", FAIL, "no key 'api-key'", {"secret_keys": {"replay-operator-livekit": frozenset({"url"})}}),
    ("secrets", FAIL, "is no Secret", {"secret_keys": {"replay-operator-livekit": None}}),
    ("secrets", WARN, "not looked at", {"secret_keys": {"replay-operator-livekit": NOT_ASKED}}),
    (
        "secrets",
        FAIL,
        "no pod that needs",
        {
            "secret_keys": {"replay-operator-livekit": NOT_ASKED},
            "secret_uses": (SecretUse("replay-operator-livekit", "url", "worker-1", started=False),),
        },
    ),
    ("metrics", WARN, "of operator, agent, workers", {"scraping": Scraping(())}),
    ("metrics", WARN, "of operator, agent", {"scraping": Scraping((FLEET,))}),
    (
        "metrics",
        PASS,
        "workers",
        {
            "scraping": NOT_ASKED,
            "workers": (pod("w", annotations={"prometheus.io/scrape": "true"}),),
            "operator_pods": (replace(OPERATOR_POD, annotations={"prometheus.io/scrape": "true"}),),
            "agent_pods": (replace(AGENT_POD, annotations={"prometheus.io/scrape": "true"}),),
        },
    ),
    (
        "clocks",
        FAIL,
        "LiveKit is at least 0.6 s ahead",
        {"clocks": (*HEALTHY.clocks, ClockBounds("LiveKit", 0.62, 0.7))},
    ),
    ("clocks", WARN, "one clock alone", {"clocks": HEALTHY.clocks[:1]}),
    ("livekit-rooms", FAIL, "refused us", {"livekit": LiveKitFacts("x", "refused us", "", 0)}),
    ("livekit-egress", FAIL, "redis required", {"livekit": LiveKitFacts("x", "", "redis required", 0)}),
    ("workers-ready", FAIL, "finds no pod", {"workers": ()}),
    ("workers-ready", FAIL, "ErrImagePull", workers(ready=False, trouble="ErrImagePull")),
    ("workers-ready", WARN, "1 of at least 2", {"workers": (pod("worker-1"),)}),
    (
        "workers-ready",
        WARN,
        "Unschedulable",
        {"workers": (*HEALTHY.workers, pod("w", ready=False, trouble="Unschedulable"))},
    ),
    ("workers-version", FAIL, "older than 1.14.0", workers(image="livekit/egress:v1.13.9")),
    ("workers-version", PASS, "v1.14.0", workers(image="registry:5000/livekit/egress:v1.14.0@sha256:00")),
    ("workers-version", PASS, "2.0", workers(image="livekit/egress:2.0")),
    ("workers-version", WARN, "does not say", workers(image="livekit/egress:latest")),
    ("workers-version", WARN, "does not say", workers(image="registry:5000/egress")),
    (
        "workers-health",
        FAIL,
        "worker-2 did not answer",
        {"answers": {"worker-1": WorkerAnswer({}, 1), "worker-2": None}},
    ),
    ("workers-health", WARN, "no worker is ready", {"answers": {}}),
    (
        "workers-work",
        WARN,
        "RoomComposite",
        {"answers": {"worker-1": WorkerAnswer({"EG_1": "RoomComposite"}, 1)}},
    ),
    (
        "workers-work",
        WARN,
        "no CPU left",
        {"answers": {"worker-1": WorkerAnswer({"EG_1": "TrackComposite"}, 0.0)}},
    ),
    ("workers-work", PASS, "nothing but", {"answers": {"worker-1": WorkerAnswer({}, 0.0)}}),
    ("workers-resources", FAIL, "request no cpu", workers(requests={"memory": "2Gi"})),
    ("workers-resources", FAIL, "no cpu and no memory", workers(requests={})),
    ("workers-resources", WARN, "3.4 cores", workers(limits={"cpu": "2500m"})),
    ("workers-resources", PASS, "requests set", workers(limits={})),
    ("workers-grace", WARN, "after 30 s", workers(grace_seconds=30)),
    ("autoscaler", FAIL, "no HorizontalPodAutoscaler", {"autoscaler": None}),
    ("autoscaler", FAIL, "below REPLAY_FLEET_MIN", scaling(maximum=1)),
    ("autoscaler", WARN, "below REPLAY_FLEET_MAX", scaling(maximum=10)),
    ("autoscaler", PASS, "2 to 40", scaling(maximum=40)),
    ("autoscaler", WARN, "argocd declares", scaling(floor_owner="argocd", minimum=1)),
    ("autoscaler", WARN, "nobody has set it", scaling(minimum=1)),
    ("autoscaler", FAIL, "FailedGetScale", scaling(conditions={"AbleToScale": ("False", "FailedGetScale")})),
    ("autoscaler", FAIL, "scaled to 0", scaling(conditions={"ScalingActive": ("False", "ScalingDisabled")})),
    (
        "autoscaler-metrics",
        WARN,
        "FailedGetResourceMetric",
        scaling(conditions={"ScalingActive": ("False", "FailedGetResourceMetric")}),
    ),
    ("autoscaler-metrics", WARN, "not looked yet", scaling(conditions={})),
    ("disruption-budget", WARN, "no PodDisruptionBudget", {"budgets": ()}),
    (
        "disruption-budget",
        WARN,
        "no PodDisruptionBudget",
        {"budgets": (BudgetFacts("other", {"app": "web"}),)},
    ),
    ("disruption-budget", PASS, "all", {"budgets": (BudgetFacts("all", {}),)}),
    ("disruption-budget", WARN, "no PodDisruptionBudget", {"budgets": (BudgetFacts("none", None),)}),
    (
        "disruption-budget",
        WARN,
        "no PodDisruptionBudget",
        {"workers": (pod("a"), pod("b", labels={"app": "b"}))},
    ),
    ("claims", FAIL, "no claim replay-buffers", {"buffer_claim": None}),
    ("claims", FAIL, "is Pending", {"archive_claim": claim("replay-archive", phase="Pending")}),
    ("claims", FAIL, "lost its volume", {"buffer_claim": claim("replay-buffers", phase="Lost")}),
    ("claims", FAIL, "raw device", {"buffer_claim": claim("replay-buffers", volume_mode="Block")}),
    (
        "claims",
        WARN,
        "FileSystemResizePending",
        {"buffer_claim": claim("b", conditions={"FileSystemResizePending": ""})},
    ),
    (
        "access-mode",
        FAIL,
        "ReadWriteOncePod",
        {"buffer_claim": claim("b", access_modes=("ReadWriteOncePod",))},
    ),
    ("access-mode", FAIL, "says ReadWriteMany", choosing(archive_access_mode="ReadWriteMany")),
    ("access-mode", WARN, "without need", {"archive_claim": claim("a", access_modes=("ReadWriteMany",))}),
    ("access-mode", FAIL, "node-1, node-2", {"workers": (pod("worker-1"), pod("worker-2", node="node-2"))}),
    (
        "access-mode",
        PASS,
        "node-1, node-2",
        {
            "workers": (pod("worker-1"), pod("worker-2", node="node-2")),
            "buffer_claim": claim("b", access_modes=("ReadWriteMany",)),
            **choosing(buffer_access_mode="ReadWriteMany"),
        },
    ),
    ("access-mode", WARN, "no claims", {"buffer_claim": None, "archive_claim": None}),
    ("storage-class", WARN, "sounds slow", {"buffer_claim": claim("b", storage_class="sata-HDD")}),
    ("storage-class", PASS, "no class", {"buffer_claim": claim("b", storage_class="")}),
    ("volume-shared", FAIL, "do not mount replay-buffers", workers(mounts=())),
    (
        "volume-shared",
        FAIL,
        "mount it at /out",
        workers(mounts=(MountFacts("replay-buffers", "/out", read_only=False),)),
    ),
    (
        "volume-shared",
        FAIL,
        "read-only",
        workers(mounts=(MountFacts("replay-buffers", "/buffer", read_only=True),)),
    ),
    ("volume-shared", PASS, "mount", choosing(buffer_root="/buffer/")),
    (
        "volume-shared",
        FAIL,
        "the agent does not mount replay-archive",
        {"agent_pods": (replace(AGENT_POD, mounts=AGENT_POD.mounts[:1]),)},
    ),
    ("volume-writable", FAIL, "read-only", buffer(options=("ro", "noatime"))),
    ("volume-writable", FAIL, "may not write to /buffer", buffer(writable=False)),
    ("volume-writable", FAIL, "may not write to /archive", agent(archive=volume("/archive", writable=False))),
    ("volume-writable", FAIL, "cannot read the archive", agent(archive=None)),
    ("volume-writable", FAIL, "cannot read the buffer", agent(buffer=None)),
    ("volume-writable", FAIL, "group 1001", workers(run_as_group=1001, groups=frozenset())),
    ("volume-writable", PASS, "share its group", workers(run_as_group=1001)),
    ("volume-writable", PASS, "share its group", workers(run_as_group=None, groups=frozenset())),
    ("volume-writable", FAIL, "belong to group 5", buffer(owner_gid=5)),
    ("volume-writable", PASS, "share", buffer(owner_gid=5, mode="0777")),
    ("file-system", FAIL, "nothing is mounted", buffer(mount_point="/")),
    ("file-system", WARN, "gone with the pod", buffer(file_system="tmpfs")),
    ("file-system", WARN, "nobody has tried", buffer(file_system="fuse.s3fs")),
    ("mount-options", WARN, "without noatime", buffer(options=("rw", "relatime"))),
    ("mount-options", PASS, "hard", nfs()),
    ("mount-options", FAIL, "soft", nfs("soft")),
    ("mount-options", PASS, "nfs", buffer(file_system="ceph", options=("rw", "relatime", "name=nfs"))),
    ("mount-options", PASS, "noac", nfs("acregmax=60", "noac")),
    ("mount-options", WARN, "up to 12 s late", nfs("acregmax=60")),
    ("mount-options", FAIL, "taken for dead", nfs("acdirmax=60") | choosing(segment_seconds=4)),
    ("mount-options", FAIL, "two agents", nfs("local_lock=all")),
    ("mount-options", FAIL, "two agents", nfs("nolock")),
    ("mount-options", WARN, "NFS 3", nfs("vers=3")),
    ("mount-options", WARN, "NFS 4.0", nfs("vers=4.0")),
    ("mount-options", PASS, "4.2", nfs("vers=4.2")),
    ("mount-options", WARN, "wsize is 65536", nfs("wsize=65536")),
    ("free-space", FAIL, "4.0 of 100.0 GiB", buffer(free_bytes=4 * GIB)),
    ("free-space", WARN, "/archive", agent(archive=volume("/archive", free_bytes=14 * GIB))),
    ("free-space", FAIL, "nothing more may go", floor(free_bytes=GIB, missing_bytes=GIB)),
    ("free-space", FAIL, "inside their windows", floor(free_bytes=GIB)),
    ("free-space", FAIL, "4.0 of 100.0 GiB free on /archive", floor(archive_free_bytes=4 * GIB)),
    ("free-space", WARN, "near it", floor(free_bytes=10 * GIB - 1)),
    ("free-space", PASS, "10.0 of 100.0", floor(free_bytes=10 * GIB)),
    ("free-space", WARN, "in 60 minutes", floor(full_in_seconds=3590)),
    ("free-space", PASS, "its floor is 5.0", floor(full_in_seconds=3600)),
    ("free-space", PASS, "80.0 of 100.0 GiB", {}),
    ("free-inodes", FAIL, "40 of 1000", buffer(free_inodes=40)),
    ("free-inodes", PASS, "as it needs them", buffer(total_inodes=0, free_inodes=0)),
]

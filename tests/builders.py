"""Objects for tests, with everything filled in that a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from replay_operator.api.agent import RunCoverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import Clock, ReplayCapture
from replay_operator.domain.egress import Egress, EgressState
from replay_operator.domain.layout import RunPath

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "team"
BUFFER_UID = "b0b0b0b0-0000-4000-8000-000000000001"
CAPTURE_UID = "cafecafe-0000-4000-8000-000000000002"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def buffer_body(*, name: str = "alice-screen", uid: str = BUFFER_UID, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": rfc3339(NOW),
        },
        "spec": {
            "room": "standup",
            "source": {"participant": {"identity": "alice", "video": "ScreenShare"}},
            "segmentSeconds": 6,
        }
        | spec,
    }


def buffer(**spec: Any) -> ReplayBuffer:
    return ReplayBuffer.model_validate(buffer_body(**spec))


def capture_body(*, name: str = "goal", uid: str = CAPTURE_UID, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid,
            "generation": 1,
            "resourceVersion": "20",
            "creationTimestamp": rfc3339(NOW),
        },
        "spec": {"bufferRef": {"name": "alice-screen"}, "range": {"last": {"seconds": 60}}} | spec,
    }


def capture(**spec: Any) -> ReplayCapture:
    return ReplayCapture.model_validate(capture_body(**spec))


def egress(
    id_: str = "EG_one", *, run: str = "r1", started: float = -60.0, state: EgressState = EgressState.ACTIVE
) -> Egress:
    begun = int(at(started).timestamp() * 1_000_000_000)
    return Egress(
        id=id_,
        room="standup",
        state=state,
        filename_prefix=RunPath(NAMESPACE, BUFFER_UID, run).filename_prefix("/buffer"),
        started_at_ns=begun,
        media_started_at_ns=begun + 300_000_000,
        video_track="TR_VC1",
    )


def run_coverage(
    run: str = "r1",
    *,
    oldest: float = -60.0,
    newest: float = -7.0,
    arrived: float = -1.0,
    ended: bool = False,
) -> RunCoverage:
    return RunCoverage(
        run=run,
        segments=9,
        first_index=0,
        last_index=8,
        oldest=at(oldest),
        newest=at(newest),
        arrived_at=at(arrived),
        ended=ended,
        clock=Clock.STARTED_AT,
    )

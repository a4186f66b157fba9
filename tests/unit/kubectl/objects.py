"""Buffers, captures and coverage as the API server and the agent give them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from replay_operator.api.agent import BufferCoverage, RunCoverage
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import Clock, ReplayCapture

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
BUFFER_UID = "0b0b0b0b-0000-0000-0000-000000000000"

Json = dict[str, Any]


def at(seconds: float) -> datetime:
    """Give an instant by its distance from now."""
    return NOW + timedelta(seconds=seconds)


def _condition(type_: str, status: str, reason: str, message: str) -> Json:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": at(-60).isoformat(),
    }


def buffer_json(*, recording: str = "True", reason: str = "Recording", **status: Any) -> Json:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {
            "name": "alice-screen",
            "namespace": "replay",
            "uid": BUFFER_UID,
            "creationTimestamp": at(-1200).isoformat(),
            "resourceVersion": "7",
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {
            "room": "standup",
            "source": {"participant": {"identity": "alice", "video": "ScreenShare"}},
            "windowSeconds": 600,
        },
        "status": {
            "conditions": [
                _condition("Ready", "True", reason, "Segments arrive."),
                _condition("Recording", recording, reason, "Segments arrive."),
            ],
            "segmentSeconds": 4,
            **status,
        },
    }


def buffer(**options: Any) -> ReplayBuffer:
    return ReplayBuffer.model_validate(buffer_json(**options))


def capture_json(name: str = "goal", *, reason: str = "Cutting", **status: Any) -> Json:
    finished = reason == "ClipReady"
    failed = reason in ("NoMedia", "JobFailed")
    conditions = [_condition("Ready", "True" if finished else "False", reason, "Because.")]
    if failed:
        conditions.append(_condition("Stalled", "True", reason, "Because."))
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {
            "name": name,
            "namespace": "replay",
            "uid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
            "creationTimestamp": at(-30).isoformat(),
            "resourceVersion": "8",
        },
        "spec": {"bufferRef": {"name": "alice-screen"}, "range": {"last": {"seconds": 60}}},
        "status": {"conditions": conditions, **status},
    }


def capture(name: str = "goal", **options: Any) -> ReplayCapture:
    return ReplayCapture.model_validate(capture_json(name, **options))


CLIP = {
    "path": "replay/shared/2026-01-31/goal-cacacaca.mp4",
    "bytes": 5 * 1024 * 1024,
    "milliseconds": 60_100,
    "start": at(-90).isoformat(),
    "end": at(-30).isoformat(),
    "segments": 16,
    "runs": 1,
    "clock": "StartedAt",
}


def pinned_range(start: float, end: float) -> Json:
    """Give the status of a capture that needs a range of the buffer."""
    return {
        "range": {"start": at(start).isoformat(), "end": at(end).isoformat()},
        "source": {"bufferUid": BUFFER_UID, "path": f"replay/{BUFFER_UID}"},
    }


def run(name: str, start: float, end: float, *, ended: bool = False) -> RunCoverage:
    return RunCoverage(
        run=name,
        segments=int((end - start) // 4),
        first_index=0,
        last_index=int((end - start) // 4) - 1,
        oldest=at(start),
        newest=at(end),
        arrived_at=at(end),
        ended=ended,
        clock=Clock.STARTED_AT,
    )


def coverage(*runs: RunCoverage) -> BufferCoverage:
    return BufferCoverage(path=f"replay/{BUFFER_UID}", bytes=3_000_000, runs=runs)

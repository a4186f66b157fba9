"""What must hold whenever the system is calm. Pure: what was seen goes in, what is wrong comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = dict[str, Any]

_LEASE = "replay-operator"
_DEPLOYMENTS = ("replay-operator", "replay-agent", "livekit-egress")


@dataclass(frozen=True, slots=True)
class TrackPair:
    """Track ids: what a participant publishes, or what an egress records."""

    video: str | None
    audio: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The system at one moment.

    Attributes:
        objects: Buffers, captures, Jobs, Deployments and pods as the API server gives them.
        living: Room of each egress that a worker process runs. The record of one whose worker died stays
            active for ever and counts for nothing.
        published: What alice publishes, by room; absent where she is not.
        pinned: UIDs of the captures for which the agent holds segments.
        faults_ended_at: Since when nothing has been done to the system.
        directories: UIDs of the buffers that have a directory on the buffer volume.
        wrong_clocks: Egresses whose media and timestamps have come apart.
    """

    objects: tuple[Json, ...]
    living: Mapping[str, str]
    published: Mapping[str, TrackPair]
    pinned: frozenset[str]
    faults_ended_at: datetime
    directories: frozenset[str]
    wrong_clocks: frozenset[str]

    def of_kind(self, kind: str) -> list[Json]:
        """Give the objects of one kind."""
        return [found for found in self.objects if found["kind"] == kind]


def troubles(seen: Seen) -> list[str]:
    """Give one sentence for each thing that a calm system would not show.

    Args:
        seen: The system at one moment.
    """
    return [
        *_pods(seen),
        *_leader(seen),
        *(trouble for buffer in seen.of_kind("ReplayBuffer") for trouble in _buffer(buffer, seen)),
        *_leaked_egresses(seen),
        *(
            f"egress {egress} still records, its clock is wrong"
            for egress in seen.wrong_clocks & seen.living.keys()
        ),
        *_captures(seen),
    ]


def leftovers(seen: Seen) -> list[str]:
    """Give one sentence for each directory whose buffer is gone. They stay for a grace period.

    Args:
        seen: The system at one moment.
    """
    buffers = {buffer["metadata"]["uid"] for buffer in seen.of_kind("ReplayBuffer")}
    return [
        f"directory {uid} is still there, its buffer is gone" for uid in sorted(seen.directories - buffers)
    ]


def _pods(seen: Seen) -> Iterator[str]:
    by_name = {found["metadata"]["name"]: found for found in seen.of_kind("Deployment")}
    for name in _DEPLOYMENTS:
        wanted = by_name[name]["spec"]["replicas"]
        available = by_name[name].get("status", {}).get("availableReplicas", 0)
        if available < wanted:
            yield f"Deployment {name} has {available} of {wanted} pods"
    for pod in seen.of_kind("Pod"):
        if "deletionTimestamp" in pod["metadata"]:
            yield f"pod {pod['metadata']['name']} was told to stop and is still there"


def _leader(seen: Seen) -> Iterator[str]:
    """A dead leader leaves its name on the Lease, a frozen one too: only a renewal proves a living one."""
    leases = [lease["spec"] for lease in seen.of_kind("Lease") if lease["metadata"]["name"] == _LEASE]
    renewals = [datetime.fromisoformat(spec["renewTime"]) for spec in leases if spec.get("holderIdentity")]
    if not renewals or max(renewals) < seen.faults_ended_at:
        holders = [spec.get("holderIdentity") for spec in leases]
        yield f"no operator leads: the Lease of {holders} has not been renewed since the faults ended"


def _buffer(buffer: Json, seen: Seen) -> Iterator[str]:
    name, room = buffer["metadata"]["name"], buffer["spec"]["room"]
    living = [egress for egress, where in seen.living.items() if where == room]
    wanted = seen.published.get(room)
    if wanted is None:
        yield from (f"{name} has no source, but egress {egress} runs" for egress in living)
        return
    status = buffer.get("status", {})
    told = status.get("egress", {}).get("id")
    if len(living) != 1:
        yield f"{name} has {len(living)} active egresses {living}, not one; status says {told}"
    elif told != living[0]:
        yield f"the status of {name} names egress {told}, active is {living[0]}"
    tracks = status.get("tracks", {})
    recorded = TrackPair(tracks.get("video"), tracks.get("audio"))
    if recorded != wanted:
        yield f"{name} records {recorded}, published are {wanted}"
    said = _condition(buffer, "Recording")
    if said.get("status") != "True":
        yield f"{name} says Recording={said.get('status')} {said.get('reason')}: {said.get('message')}"


def _leaked_egresses(seen: Seen) -> Iterator[str]:
    rooms = {buffer["spec"]["room"] for buffer in seen.of_kind("ReplayBuffer")}
    for egress, room in seen.living.items():
        if room not in rooms:
            yield f"egress {egress} still records room {room}, whose buffer was deleted"


def _captures(seen: Seen) -> Iterator[str]:
    captures = {capture["metadata"]["uid"]: capture for capture in seen.of_kind("ReplayCapture")}
    unfinished = {uid for uid, capture in captures.items() if not is_finished(capture)}
    for uid in unfinished:
        name, said = captures[uid]["metadata"]["name"], _condition(captures[uid], "Ready")
        yield f"{name} is not finished: {said.get('reason')} {said.get('message')}"
    yield from (f"the agent holds segments for capture {uid}" for uid in seen.pinned - unfinished)
    for job in seen.of_kind("Job"):
        owners = {owner["uid"] for owner in job["metadata"].get("ownerReferences", [])}
        if not owners & captures.keys():
            yield f"Job {job['metadata']['name']} has outlived its capture"


def is_finished(capture: Json) -> bool:
    """Tell whether nothing will happen to a capture any more."""
    return any(_condition(capture, type_).get("status") == "True" for type_ in ("Ready", "Stalled"))


def _condition(found: Json, type_: str) -> Json:
    conditions: list[Json] = found.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == type_), {})

"""The operator put together as in its process, with everything around it moved by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.catalogue.connection import Catalogue
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL
from replay_operator.cluster.resources import BUFFERS, CAPTURES, JOBS, PODS
from replay_operator.controller.assembly import build_operator
from replay_operator.controller.keys import Key
from replay_operator.domain.egress import Egress
from replay_operator.domain.fleet import FleetPod, WorkerView
from replay_operator.domain.layout import RunPath, parse_filename_prefix
from replay_operator.domain.notification import News
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings, UploadSettings
from tests.builders import BUFFER_UID, CAPTURE_UID, NAMESPACE, buffer_body, capture_body, rfc3339
from tests.contract.fake_cluster import FakeCluster
from tests.contract.scripted import HandClock, ScriptedAgent, ScriptedLiveKit

ROOT = "/buffer"
SETTINGS = OperatorSettings.model_validate(
    {
        "POD_NAMESPACE": NAMESPACE,
        "capture_image": "registry.example/replay-operator:1",
        "buffer_root": ROOT,
        "segment_duration_seconds": 6,
    }
)


@dataclass
class Outside:
    """What outlives an operator process."""

    clock: HandClock = field(default_factory=HandClock)
    cluster: FakeCluster = field(default_factory=FakeCluster)

    def __post_init__(self) -> None:
        self.livekit = ScriptedLiveKit(self.clock)
        self.agent = ScriptedAgent(self.clock)


class Rig:
    """One life of an operator process. Nothing runs by itself."""

    def __init__(
        self,
        outside: Outside,
        *,
        settings: OperatorSettings = SETTINGS,
        send_news: Callable[[News], Awaitable[None]] | None = None,
        catalogue: Catalogue | None = None,
        uploads: UploadSettings | None = None,
    ) -> None:
        self.outside = outside
        self._settings, self._send_news, self._catalogue = settings, send_news, catalogue
        self._uploads = uploads
        self.leads = True
        self.clock, self.cluster = outside.clock, outside.cluster
        self.livekit, self.agent = outside.livekit, outside.agent
        self.operator = build_operator(
            settings,
            gateway=self.cluster,
            livekit=self.livekit,
            agent=self.agent,
            ask_worker=_no_answer,
            metrics=OperatorMetrics(),
            epoch=1,
            may_act=lambda: self.leads,
            send_news=send_news,
            catalogue=catalogue,
            uploads=uploads,
            clock=self.clock,
        )
        inbox = self.operator.inbox
        self.buffers, self.captures, self.jobs = inbox.buffers, inbox.captures, inbox.jobs
        self.policy, self.metrics = self.operator.policy, self.operator.metrics

    def restarted(self) -> Rig:
        """A new process beside the same outside, whose watches have told it the two kinds and no Job yet."""
        rig = Rig(
            self.outside,
            settings=self._settings,
            send_news=self._send_news,
            catalogue=self._catalogue,
            uploads=self._uploads,
        )
        for body in self.cluster.all_of(BUFFERS):
            rig.buffers.put(body)
        for body in self.cluster.all_of(CAPTURES):
            rig.captures.put(body)
        return rig

    def user_creates_buffer(self, **spec: Any) -> None:
        self.buffers.put(self.cluster.add(BUFFERS, buffer_body(**spec)))

    def user_deletes_buffer(self) -> None:
        self.cluster.remove(BUFFERS, NAMESPACE, "alice-screen")
        self.buffers.drop(BUFFER_UID)

    def user_creates_capture(self, **spec: Any) -> None:
        self.captures.put(self.cluster.add(CAPTURES, capture_body(**spec)))

    async def user_deletes_capture(self, name: str = "goal") -> None:
        """`kubectl delete`: the object goes at once, or with its last finalizer; the watch tells."""
        self.cluster.deleted_at = rfc3339(self.clock.now)
        await self.cluster.delete(CAPTURES, NAMESPACE, name)
        self.watch_tells_capture(name)

    def watch_tells_capture(self, name: str = "goal") -> None:
        """The operator hears how the capture is now; of one that is gone, that it is."""
        now = {body["metadata"]["name"]: body for body in self.cluster.all_of(CAPTURES)}
        if name in now:
            self.captures.put(now[name])
        else:
            self.captures.drop(next(c.metadata.uid for c in self.captures if c.metadata.name == name))

    def user_changes_capture(self, **spec: Any) -> None:
        body = self.cluster.stored(CAPTURES, NAMESPACE, "goal")
        body["spec"] |= spec
        body["metadata"]["generation"] += 1
        self.captures.put(self.cluster.add(CAPTURES, body))

    async def look(self) -> None:
        """What the loops do: one list of LiveKit, one word of the agent, one look at the install."""
        polling = asyncio.create_task(self.operator.poller.run())
        await asyncio.sleep(0)  # one step: the scripted list answers at once, then the poller pauses
        await _ended(polling)
        await self.operator.coverage.refresh()
        await self.operator.install.reconcile()

    async def woken(self) -> set[Key]:
        """Take what waits in the queue, without reconciling it."""
        keys: set[Key] = set()
        queue, all_taken = self.operator.queue, asyncio.Event()

        async def note(key: Key) -> None:
            keys.add(key)
            if len(queue) == 1:  # this one, which runs
                all_taken.set()

        if len(queue):
            taking = asyncio.create_task(queue.run(note, workers=1))
            await asyncio.wait_for(all_taken.wait(), 60)
            await _ended(taking)
        return keys

    async def reconcile_buffer(self) -> float | None:
        return await self.operator.buffers.reconcile(BUFFER_UID)

    async def reconcile_capture(self) -> float | None:
        return await self.operator.captures.reconcile(CAPTURE_UID)

    async def seconds_pass(self, seconds: float) -> None:
        """Let time pass with segments that go on arriving, then look and reconcile the buffer."""
        self.clock.go_on(seconds)
        self.segments_arrive()
        await self.look()
        await self.reconcile_buffer()

    async def bring_up(self) -> None:
        """From a new buffer to one that records."""
        await self.look()
        await self.reconcile_buffer()
        self.livekit.frames_flow()
        await self.seconds_pass(13)

    def segments_arrive(self) -> None:
        """A segment of every run whose frames flow is complete now."""
        for egress in self.livekit.egresses.values():
            since = egress.media_started_at
            if since is not None:
                self.agent.segment_arrives(run_of(egress), since=since)

    def job_ends(self, name: str, *, condition: str, message: str | None) -> None:
        """A Job ends, its pod leaves a termination message, and the watch tells."""
        if message is not None:
            self.cluster.add(PODS, pod_of(name, message))
        status = {"conditions": [{"type": condition, "status": "True", "reason": "R", "message": "m"}]}
        self.jobs.put(self.cluster.change(JOBS, NAMESPACE, name, status=status))

    def pod_tells(self, name: str, message: str, *, uid: str = CAPTURE_UID) -> None:
        """The container that makes the clip ends, and the next one begins; the watch tells."""
        pod = self.cluster.add(PODS, pod_of(name, message, uid=uid))
        self.operator.inbox.capture_pod("MODIFIED", pod)

    @property
    def buffer(self) -> ReplayBuffer:
        """The buffer as the API server holds it."""
        return ReplayBuffer.model_validate(self.cluster.stored(BUFFERS, NAMESPACE, "alice-screen"))

    @property
    def capture(self) -> ReplayCapture:
        """The capture as the API server holds it."""
        return ReplayCapture.model_validate(self.cluster.stored(CAPTURES, NAMESPACE, "goal"))

    @property
    def buffer_reason(self) -> str:
        ready = find_condition(self.buffer.status.conditions, "Ready")
        return ready.reason if ready else ""

    @property
    def capture_reason(self) -> str:
        ready = find_condition(self.capture.status.conditions, "Ready")
        return ready.reason if ready else ""

    @property
    def buffer_status_writes(self) -> int:
        return len(self.cluster.writes_of("replaybuffers"))

    @property
    def capture_status_writes(self) -> int:
        return len(self.cluster.writes_of("replaycaptures"))

    @property
    def job_names(self) -> list[str]:
        return [body["metadata"]["name"] for body in self.cluster.all_of(JOBS)]


def pod_of(job: str, message: str, *, uid: str = CAPTURE_UID) -> dict[str, Any]:
    """A pod of which the first container has ended and left a message."""
    ended = {"terminated": {"exitCode": 0, "finishedAt": "2026-11-23T12:01:00Z", "message": message}}
    labels = {"batch.kubernetes.io/job-name": job, CAPTURE_UID_LABEL: uid}
    return {
        "metadata": {"name": f"{job}-abcde", "namespace": NAMESPACE, "labels": labels},
        "status": {"initContainerStatuses": [{"name": "capture", "state": ended}]},
    }


def run_of(egress: Egress) -> RunPath:
    path = parse_filename_prefix(egress.filename_prefix, ROOT)
    assert path is not None
    return path


async def _no_answer(_: FleetPod) -> WorkerView | None:
    return None


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

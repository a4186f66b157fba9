"""Alice in several rooms, a small buffer for each, and when there was something to record."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from replay_operator.agent.ownership import STATE_DIRECTORY
from replay_operator.agent.policy_book import POLICY_FILE
from replay_operator.api.agent import Policy
from replay_operator.api.replaycapture import Track
from replay_operator.media.timeline import Interval
from tests.chaos.bounds import SEGMENT_SECONDS
from tests.chaos.invariants import Seen, TrackPair
from tests.chaos.recorded import RecordedTime, lost_seconds
from tests.chaos.workers import held_egresses
from tests.stack.stack import Stack

SOURCES = ("SCREEN_SHARE", "MICROPHONE")
_SMALL = {"width": 320, "height": 180, "framerate": 15, "videoKbps": 200, "audioKbps": 64}
_WRITING = frozenset({"EGRESS_STARTING", "EGRESS_ACTIVE"})


@dataclass(slots=True)
class Recorded:
    """One buffer, and the time in which it had a source.

    Attributes:
        name: Of the buffer, and of its room.
        path: Its directory on the buffer volume.
        published: When alice published, Unix nanoseconds; the last stretch is open while she does.
        measured_ns: Up to here, losses are on the account of an earlier fault.
    """

    name: str
    path: str
    published: list[Interval] = field(default_factory=list)
    published_since_ns: int | None = None
    measured_ns: int = 0

    def source_time(self, between: Interval) -> list[Interval]:
        """Give when there was something to record between two instants."""
        stretches = list(self.published)
        if self.published_since_ns is not None:
            stretches.append(Interval(self.published_since_ns, between.end))
        return [Interval(max(s.start, between.start), min(s.end, between.end)) for s in stretches]


@dataclass(frozen=True, slots=True)
class Losses:
    """Seconds of source time by buffer: without any segment, and without a picture in it."""

    everything: Mapping[str, float]
    picture: Mapping[str, float]

    @property
    def worst(self) -> float:
        """Without any segment, of the buffer that lost most."""
        return max(self.everything.values())

    @property
    def worst_picture(self) -> float:
        """Without a picture, of the buffer that lost most."""
        return max(self.picture.values())


class Scene:
    """The rooms and buffers of a run."""

    def __init__(self, stack: Stack, *, buffers: int) -> None:
        """Make the rooms and buffers.

        Args:
            stack: An install that is up.
            buffers: How many of them.
        """
        self.stack = stack
        self.admin = stack.livekit  # found once: the API server need not answer for each call
        self._volume = stack.node.volume_path(stack.namespace, "replay-buffers")
        self._recorded_time = RecordedTime(self._volume)
        self._made = 0
        self._faults_ended_at = datetime.now(UTC)
        self._wrong_clocks: set[str] = set()
        self.buffers = [self._new_buffer() for _ in range(buffers)]

    def replace_buffer(self, number: int) -> None:
        """Delete a buffer and make another one, in another room. Alice stays in the old room."""
        self.stack.kubectl("delete", "rb", self.buffers[number].name, "--wait=false")
        self.buffers[number] = self._new_buffer()

    def start_over(self) -> None:
        """Delete everything and make it anew, so that what one storm broke is not found by the next."""
        count = len(self.buffers)
        self.stack.kubectl("delete", "rb,rcap", "--all")
        for egress_id in self._living(held_egresses(self.stack.list_all("pods"))):
            self.admin.post(f"egress/{egress_id}/end", {"details": "End reason: the chaos suite starts over"})
        self.buffers = [self._new_buffer() for _ in range(count)]

    def leave(self, buffer: Recorded) -> None:
        """Let alice leave the room, if she is there."""
        if buffer.published_since_ns is None:
            return
        self.admin.delete(f"rooms/{buffer.name}/participants/alice")
        buffer.published.append(Interval(buffer.published_since_ns, time.time_ns()))
        buffer.published_since_ns = None

    def enter(self, buffer: Recorded) -> None:
        """Let alice enter the room and publish, unless she is there."""
        if buffer.published_since_ns is not None:
            return
        buffer.published_since_ns = time.time_ns()
        self.admin.post(f"rooms/{buffer.name}/participants", {"identity": "alice", "tracks": list(SOURCES)})

    def publish_anew(self, buffer: Recorded) -> None:
        """Take the picture away and publish it again under another track id, if there is one."""
        if buffer.published_since_ns is None:
            return
        old = self.published()[buffer.name].video
        self.admin.delete(f"rooms/{buffer.name}/tracks/{old}")
        self.admin.post(f"rooms/{buffer.name}/participants/alice/tracks", {"source": "SCREEN_SHARE"})

    def disturb_clock(self, buffer: Recorded, *, jump_seconds: float) -> None:
        """Let the clock of a buffer's run be wrong from now on."""
        for egress_id in self.egresses_of(buffer):
            self.admin.post(f"egress/{egress_id}/clock", {"jump_seconds": jump_seconds})
            self._wrong_clocks.add(egress_id)

    def look(self) -> Seen:
        """Look at everything once."""
        listed = self.stack.kubectl("get", "rb,rcap,jobs,deployments,pods,leases", "-o", "json")
        objects = tuple(json.loads(listed)["items"])
        held = held_egresses(found for found in objects if found["kind"] == "Pod")
        return Seen(
            objects=objects,
            living=self._living(held),
            published=self.published(),
            pinned=self._pinned(),
            faults_ended_at=self._faults_ended_at,
            directories=self._directories(),
            wrong_clocks=frozenset(self._wrong_clocks),
        )

    def note_end_of_faults(self) -> None:
        """Remember that from now on nothing is done to the system any more."""
        self._faults_ended_at = datetime.now(UTC)

    def published(self) -> dict[str, TrackPair]:
        """Give what alice publishes, by room."""
        rooms: dict[str, Sequence[dict[str, Any]]] = self.admin.get("rooms")
        pairs: dict[str, TrackPair] = {}
        for room, people in rooms.items():
            for alice in (person for person in people if person["identity"] == "alice"):
                sids = {track["source"]: track["sid"] for track in alice["tracks"]}
                pairs[room] = TrackPair(*(sids.get(source) for source in SOURCES))
        return pairs

    def egresses_of(self, buffer: Recorded) -> list[str]:
        """Give the egresses that record a buffer now, each asked of its worker."""
        held = held_egresses(self.stack.list_all("pods"))
        return [egress for egress, room in self._living(held).items() if room == buffer.name]

    def runs_started(self) -> int:
        """Count every egress that was ever started."""
        return len(self.admin.get("egress"))

    def calls(self, method: str) -> int:
        """Count the calls of one method of LiveKit's API."""
        return int(self.admin.get("calls")["counts"].get(method, 0))

    def is_on_disk(self, instant_ns: int) -> bool:
        """Tell whether every buffer holds segments from an instant or later."""
        return all(self._recorded_time.newest_ns(buffer.path) >= instant_ns for buffer in self.buffers)

    def close_account(self, until_ns: int) -> Losses:
        """Measure what was lost since the account was closed last, and close it up to an instant.

        Args:
            until_ns: Unix nanoseconds.
        """
        lost = self._losses({b.name: Interval(b.measured_ns, until_ns) for b in self.buffers})
        for buffer in self.buffers:
            buffer.measured_ns = until_ns
        return lost

    def losses(self, between: Interval) -> Losses:
        """Measure what was lost between two instants, both of which are on disk.

        Args:
            between: Unix nanoseconds.
        """
        return self._losses(dict.fromkeys((buffer.name for buffer in self.buffers), between))

    def make_capture(self, name: str, buffer: Recorded, **more: Any) -> None:
        """Ask for the last seconds of a buffer, with more in the spec."""
        spec = {"bufferRef": {"name": buffer.name}, "range": {"last": {"seconds": 5}}, **more}
        self.stack.apply(_object("ReplayCapture", name, spec))

    def worker_of(self, buffer: Recorded) -> str | None:
        """Name the pod that records a buffer; None when none does."""
        held = held_egresses(self.stack.list_all("pods"))
        living = {egress for egress, room in self._living(held).items() if room == buffer.name}
        return next((pod for pod, egresses in held.items() if living & egresses), None)

    def _losses(self, between: Mapping[str, Interval]) -> Losses:
        everything: dict[str, float] = {}
        picture: dict[str, float] = {}
        for buffer in self.buffers:
            wanted = buffer.source_time(between[buffer.name])
            everything[buffer.name] = lost_seconds(wanted, self._recorded_time.of(buffer.path))
            picture[buffer.name] = lost_seconds(wanted, self._recorded_time.of(buffer.path, Track.VIDEO))
        return Losses(everything, picture)

    def _new_buffer(self) -> Recorded:
        self._made += 1
        name = f"chaos-{self._made}"
        self.admin.post("rooms", {"name": name})
        buffer = Recorded(name, path="")
        self.enter(buffer)
        participant = {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}
        spec = {
            "room": name,
            "source": {"participant": participant},
            "windowSeconds": 1800,
            "segmentSeconds": SEGMENT_SECONDS,
            "encoding": {"advanced": _SMALL},
        }
        self.stack.apply(_object("ReplayBuffer", name, spec))
        # Before the buffer was there, nobody had asked for a recording.
        buffer.published_since_ns = time.time_ns()
        uid = (self.stack.get("rb", name) or {})["metadata"]["uid"]
        buffer.path = f"{self.stack.namespace}/{uid}"
        return buffer

    def _living(self, held: Mapping[str, frozenset[str]]) -> dict[str, str]:
        running = frozenset().union(*held.values())
        return {
            info["egress_id"]: info["room_name"]
            for info in self.admin.get("egress")
            if info["egress_id"] in running and info["status"] in _WRITING
        }

    def _directories(self) -> frozenset[str]:
        root = self._volume / self.stack.namespace
        return frozenset(found.name for found in root.iterdir()) if root.is_dir() else frozenset()

    def _pinned(self) -> frozenset[str]:
        try:
            stored = (self._volume / STATE_DIRECTORY / POLICY_FILE).read_bytes()
        except FileNotFoundError:
            return frozenset()
        policy = Policy.model_validate_json(stored)
        return frozenset(pin.capture_uid for buffer in policy.buffers for pin in buffer.pins)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }

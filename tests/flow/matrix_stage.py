"""Buffers of the status matrix: make one, let something happen to it, see what its status said."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from replay_operator.api.agent import Coverage, RunCoverage
from tests.stack.stack import Stack

T = TypeVar("T")
Status = Mapping[str, Any]

SEGMENT_SECONDS = 2
# As small as the double can draw its marks into: a dozen of them are encoded at once.
TINY = {"advanced": {"width": 160, "height": 96, "framerate": 5, "videoKbps": 50, "audioKbps": 64}}
PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.5
# No tab: kubectl aligns columns, and would hold every line back.
_ONE_LINE = 'jsonpath={.metadata.name}{" "}{.status}{"\\n"}'
_OVER = frozenset({"EGRESS_COMPLETE", "EGRESS_FAILED", "EGRESS_ABORTED"})


def reason_of(status: Status) -> str:
    """The reason that the condition Recording gives: the state of the buffer."""
    return next((c["reason"] for c in status.get("conditions", ()) if c["type"] == "Recording"), "")


def message_of(status: Status) -> str:
    """The sentence that goes with the reason."""
    return next((c["message"] for c in status.get("conditions", ()) if c["type"] == "Recording"), "")


class StatusWatch:
    """Every status that the buffers of a namespace have had, in order, from one `kubectl get --watch`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._said: defaultdict[str, list[Status]] = defaultdict(list)
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def said(self, name: str) -> list[Status]:
        """What a buffer's status has said so far."""
        with self._news:
            return list(self._said[name])

    def wait_until(self, name: str, what: str, look: Callable[[list[Status]], T | None], seconds: float) -> T:
        """Waits until the statuses of a buffer show something.

        Args:
            name: of the buffer.
            what: named in the failure.
            look: gives what is wanted from all statuses so far, or None.
            seconds: at most how long.
        """
        deadline = time.monotonic() + seconds
        with self._news:
            while (found := look(self._said[name])) is None:
                self._check_open()
                if not self._news.wait(deadline - time.monotonic()):
                    said = [(reason_of(s), message_of(s)) for s in self._said[name]]
                    raise AssertionError(
                        f"{name}: {what} did not happen within {seconds:.0f} s; it said {said}"
                    )
        return found

    def pause(self) -> None:
        """Waits a moment between two looks at something that is no status."""
        with self._news:
            self._check_open()
            self._news.wait(LOOK_SECONDS)

    def _check_open(self) -> None:
        if self._closed:
            raise AssertionError("the watch has ended, and with it the play of this row")

    def _read(self) -> None:
        for line in self._process.stdout or ():
            name, _, text = line.rstrip("\n").partition(" ")
            if text:
                with self._news:
                    self._said[name].append(json.loads(text))
                    self._news.notify_all()
        with self._news:
            self._closed = True
            self._news.notify_all()


@contextmanager
def watched(stack: Stack, kubectl: Path) -> Iterator[StatusWatch]:
    """Watches the buffers of a stack.

    Args:
        stack: the install.
        kubectl: the program.
    """
    arguments = (f"--kubeconfig={stack.plane.kubeconfig}", "-n", stack.namespace)
    with subprocess.Popen(
        [kubectl, *arguments, "get", "rb", "--watch", "-o", _ONE_LINE],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        yield StatusWatch(process)
        process.kill()  # ends the rows that still wait


class Stage:
    """An install with its watch. Rooms and buffers made on it share one name."""

    def __init__(self, stack: Stack, watch: StatusWatch) -> None:
        self.stack = stack
        self.watch = watch
        # Read once: a dozen rows that each run kubectl for every look would need all CPUs.
        self.admin = stack.livekit
        self._agent = f"http://{stack.address('replay-agent')}:8480/v1/coverage"
        secret = stack.get("secret", "replay-operator-agent") or {}
        self._token = base64.b64decode(secret["data"]["token"]).decode()

    def coverage(self) -> Coverage:
        """What lies on the buffer volume."""
        request = urllib.request.Request(self._agent, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Coverage.model_validate_json(answer.read())

    def wait_for(self, what: str, look: Callable[[], T | None], *, seconds: float = PATIENCE_SECONDS) -> T:
        """Looks until there is something.

        Args:
            what: named in the failure.
            look: gives what is wanted, or None or False while it is not there.
            seconds: at most how long.
        """
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
            self.watch.pause()
        return found

    def open_room(self, name: str, sources: Sequence[str] = ("SCREEN_SHARE", "MICROPHONE")) -> None:
        """Lets alice join a room and publish."""
        self.admin.post(f"rooms/{name}/participants", {"identity": "alice", "tracks": list(sources)})

    def buffer(self, name: str, source: Mapping[str, Any] | None = None) -> Subject:
        """Makes a small buffer of a room.

        Args:
            name: of room and buffer.
            source: spec.source; alice's screen and microphone by default.
        """
        alice = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}
        self.stack.apply(
            {
                "apiVersion": "replaybuffer.dev/v1alpha1",
                "kind": "ReplayBuffer",
                "metadata": {"name": name},
                "spec": {
                    "room": name,
                    "source": source or alice,
                    "windowSeconds": 600,
                    "segmentSeconds": SEGMENT_SECONDS,
                    "encoding": TINY,
                },
            }
        )
        return Subject(self, name)

    def recording(self, name: str) -> Subject:
        """Makes a buffer whose source is there, and waits until it records."""
        self.open_room(name)
        subject = self.buffer(name)
        subject.wait_for("Recording")
        return subject


@dataclass(frozen=True)
class Subject:
    """A buffer that something happens to."""

    stage: Stage
    name: str

    @property
    def status(self) -> Status:
        """What its status says now."""
        return self.stage.watch.said(self.name)[-1]

    @property
    def egress_id(self) -> str:
        """The egress that its status names."""
        return str(self.status["egress"]["id"])

    def wait_for(self, reason: str, *, seconds: float = PATIENCE_SECONDS) -> Status:
        """Waits until its status gives a reason for Recording."""

        def look(said: list[Status]) -> Status | None:
            return said[-1] if said and reason_of(said[-1]) == reason else None

        return self.stage.watch.wait_until(self.name, reason, look, seconds)

    def wait_for_another_run(self, egress_id: str, *, seconds: float = PATIENCE_SECONDS) -> Status:
        """Waits until it records by another egress: a segment of the new run is on disk then."""

        def look(said: list[Status]) -> Status | None:
            last = said[-1]
            recording = reason_of(last) == "Recording" and last.get("egress", {}).get("id") != egress_id
            return last if recording else None

        return self.stage.watch.wait_until(self.name, "another run", look, seconds)

    def count(self) -> int:
        """How many statuses there were so far: a mark for `reasons`."""
        return len(self.stage.watch.said(self.name))

    def reasons(self, since: int = 0) -> list[str]:
        """The reasons that its status has given, repetitions left out.

        Args:
            since: a mark by `count`; the status before it is the first that counts.
        """
        said = [reason_of(status) for status in self.stage.watch.said(self.name)[max(0, since - 1) :]]
        return said[:1] + [after for before, after in pairwise(said) if after != before]

    def records(self) -> list[dict[str, Any]]:
        """LiveKit's records of its room, oldest first."""
        return [e for e in self.stage.admin.get("egress") if e["room_name"] == self.name]

    def record(self, egress_id: str) -> dict[str, Any]:
        """LiveKit's record of one egress."""
        return next(e for e in self.records() if e["egress_id"] == egress_id)

    def running(self) -> list[str]:
        """The egresses of its room that have not ended, as LiveKit says."""
        return [e["egress_id"] for e in self.records() if e["status"] not in _OVER]

    def track(self, source: str) -> str:
        """The id of alice's track of a source."""
        people = {each["identity"]: each for each in self.stage.admin.get("rooms")[self.name]}
        return next(str(t["sid"]) for t in people["alice"]["tracks"] if t["source"] == source)

    def runs(self) -> list[RunCoverage]:
        """What lies on disk of it, oldest run first."""
        path = self.status["storage"]["path"]
        found = [run for b in self.stage.coverage().buffers if b.path == path for run in b.runs]
        return sorted(found, key=lambda run: run.oldest)

    def wait_for_coverage_of(self, instant: datetime) -> list[RunCoverage]:
        """Waits until an instant is on disk; gives all runs then."""

        def look() -> list[RunCoverage] | None:
            runs = self.runs()
            return runs if any(run.oldest <= instant <= run.newest for run in runs) else None

        return self.stage.wait_for(f"{self.name}: media of {instant}", look)


def first_second(status: Status) -> datetime:
    """An instant that the run which a status names must hold: one second after its first frame."""
    return datetime.fromisoformat(status["egress"]["startedAt"]) + timedelta(seconds=1)


def holes(runs: Sequence[RunCoverage]) -> list[timedelta]:
    """The stretches between runs that none of them holds."""
    found, reach = [], runs[0].newest
    for run in runs[1:]:
        if run.oldest > reach:
            found.append(run.oldest - reach)
        reach = max(reach, run.newest)
    return found

"""What ends before an uninstall, and when it has ended."""

from collections.abc import Iterator
from typing import Any

import pytest

from replay_operator.cluster.gateway import Conflict
from replay_operator.controller.drain import end_recordings, recordings_of, release_captures
from replay_operator.controller.leader import LeadershipLost
from replay_operator.domain.capture_end import FINALIZER
from replay_operator.domain.egress import Egress, EgressState
from replay_operator.livekit.errors import EgressWorkerSilent, LiveKitUnreachable

ROOT = "/buffer"
OURS = "/buffer/replay/uid/run/seg"
QUIET_SECONDS = 3.0


def egress(id_: str, prefix: str = OURS, state: EgressState = EgressState.ACTIVE) -> Egress:
    return Egress(id=id_, room="standup", state=state, filename_prefix=prefix)


class ScriptedLiveKit:
    """Gives one list after the other, the last one for ever, and notes what is stopped."""

    def __init__(self, *lists: list[Egress] | Exception, silent: tuple[str, ...] = ()) -> None:
        self._lists = list(lists)
        self._silent = silent
        self.stopped: list[str] = []
        self.looks = 0

    async def list_active(self) -> tuple[Egress, ...]:
        self.looks += 1
        answer = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        if isinstance(answer, Exception):
            raise answer
        return tuple(answer)

    async def stop(self, egress_id: str) -> None:
        self.stopped.append(egress_id)
        if egress_id in self._silent:
            raise EgressWorkerSilent("no answer")


def seconds() -> Iterator[float]:
    now = 0.0
    while True:
        yield now
        now += 1.0


async def drained(livekit: ScriptedLiveKit, *, leads: bool = True) -> ScriptedLiveKit:
    clock = seconds()
    await end_recordings(
        livekit,
        namespace="replay",
        root=ROOT,
        leads=lambda: leads,
        quiet_seconds=QUIET_SECONDS,
        look_seconds=0,
        monotonic=lambda: next(clock),
    )
    return livekit


def test_recordings_of_other_namespaces_and_applications_are_not_ours() -> None:
    others = [
        egress("EG_b", "/buffer/other/uid/run/seg"),
        egress("EG_c", "recordings/standup"),
        egress("EG_d", ""),
    ]
    assert recordings_of([egress("EG_a"), *others], namespace="replay", root=ROOT) == (egress("EG_a"),)


async def test_each_recording_of_ours_is_stopped_and_nothing_else() -> None:
    livekit = ScriptedLiveKit([egress("EG_a"), egress("EG_b"), egress("EG_x", "/buffer/other/u/r/seg")], [])
    assert (await drained(livekit)).stopped == ["EG_a", "EG_b"]


async def test_one_that_is_ending_is_waited_for_and_not_stopped_again() -> None:
    ending = egress("EG_a", state=EgressState.ENDING)
    livekit = ScriptedLiveKit([egress("EG_a")], [ending], [ending], [])
    assert (await drained(livekit)).stopped == ["EG_a"]
    assert livekit.looks > 4


async def test_a_start_that_comes_true_late_is_stopped_too() -> None:
    livekit = ScriptedLiveKit([egress("EG_a")], [], [], [egress("EG_late")], [])
    assert (await drained(livekit)).stopped == ["EG_a", "EG_late"]


async def test_a_recording_without_a_worker_is_not_waited_for() -> None:
    livekit = ScriptedLiveKit([egress("EG_dead")], silent=("EG_dead",))
    assert set((await drained(livekit)).stopped) == {"EG_dead"}


async def test_a_livekit_that_does_not_answer_does_not_count_as_quiet() -> None:
    away = LiveKitUnreachable("no answer")
    livekit = ScriptedLiveKit([], away, away, [egress("EG_a")], [])
    assert (await drained(livekit)).stopped == ["EG_a"]


async def test_nothing_is_stopped_while_somebody_else_leads() -> None:
    livekit = ScriptedLiveKit([egress("EG_a")])
    with pytest.raises(LeadershipLost, match="another operator leads"):
        await drained(livekit, leads=False)
    assert livekit.stopped == []


class ScriptedCaptures:
    """Captures by name, and how often a patch of each meets a newer version."""

    def __init__(self, finalizers: dict[str, list[str]], conflicts: int = 0) -> None:
        self.finalizers = finalizers
        self._conflicts = conflicts

    async def list(self, *_: Any) -> tuple[dict[str, Any], ...]:
        return tuple(
            {"metadata": {"name": name, "resourceVersion": "7", "finalizers": names}}
            for name, names in self.finalizers.items()
        )

    async def patch(self, _type: Any, _namespace: str, name: str, body: dict[str, Any]) -> None:
        assert body["metadata"]["resourceVersion"] == "7"
        if self._conflicts:
            self._conflicts -= 1
            raise Conflict(409, "changed")
        self.finalizers[name] = body["metadata"]["finalizers"]


async def test_captures_lose_our_finalizer_and_keep_others() -> None:
    captures: Any = ScriptedCaptures({"a": [FINALIZER, "else/where"], "b": []}, conflicts=1)
    await release_captures(captures, "replay", look_seconds=0)
    assert captures.finalizers == {"a": ["else/where"], "b": []}

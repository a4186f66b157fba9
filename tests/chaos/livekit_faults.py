"""Faults of LiveKit: of its API, of its server's process, of the clock of a run, and of its webhooks."""

from __future__ import annotations

import urllib.error
from collections import Counter
from collections.abc import Mapping

from tests.chaos.bounds import CLOCK_JUMP_SECONDS
from tests.chaos.deeds import Deed
from tests.chaos.plan import Fault, FaultKind
from tests.chaos.scene import Scene
from tests.chaos.webhooks import WEBHOOK_PORT, WebhookLiar

_METHODS = ("ListEgress", "ListParticipants", "StartTrackCompositeEgress", "StopEgress")
_LISTS = ("ListEgress", "ListParticipants")
_MANY = 1_000_000
_SLOW_ANSWER_SECONDS = 1.5

_CALLS: Mapping[FaultKind, tuple[tuple[str, ...], Mapping[str, str | int | float]]] = {
    FaultKind.LIVEKIT_REFUSES: (_METHODS, {"kind": "error", "status": 503}),
    FaultKind.LIVEKIT_SILENT: (_METHODS, {"kind": "no_answer"}),
    FaultKind.LIVEKIT_HANGS_UP: (_METHODS, {"kind": "disconnect"}),
    FaultKind.LIVEKIT_SLOW: (_METHODS, {"kind": "hold", "seconds": _SLOW_ANSWER_SECONDS}),
    FaultKind.LIVEKIT_EMPTY: (_LISTS, {"kind": "empty"}),
}


class LiveKitFaults:
    """Carries them out."""

    def __init__(self, scene: Scene, hits: Counter[FaultKind]) -> None:
        """Take the scene, and where it is counted what faults have hit."""
        self._scene = scene
        self._hits = hits
        self._active: list[Fault] = []

    def deeds(self) -> Mapping[FaultKind, Deed]:
        """Give what is done for each kind."""
        return {
            **dict.fromkeys(_CALLS, Deed(self._break_calls, self._mend_calls)),
            FaultKind.LIVEKIT_FORGETS: Deed(lambda _: self._one_empty_list()),
            FaultKind.LIVEKIT_RESTARTED: Deed(self._restart),
            FaultKind.CLOCK_JUMPED: Deed(self._jump),
            FaultKind.WEBHOOKS_LIE: Deed(lambda _: self._lie()),
        }

    def heal(self) -> None:
        """End what is done to calls."""
        self._active.clear()
        self._scene.admin.delete("faults")

    def _break_calls(self, fault: Fault) -> None:
        self._active.append(fault)
        self._show(fault)

    def _mend_calls(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._scene.admin.delete("faults")
        for other in self._active:
            self._show(other)

    def _show(self, fault: Fault) -> None:
        methods, what = _CALLS[fault.kind]
        for method in methods:
            self._scene.admin.post(
                "faults", {"seconds": fault.seconds, **what, "method": method, "count": _MANY}
            )

    def _one_empty_list(self) -> None:
        self._scene.admin.post("faults", {"kind": "empty", "method": "ListEgress"})

    def _restart(self, fault: Fault) -> None:
        """Let the server go and come back. Nothing else can begin meanwhile: it serves the suite too."""
        present = {buffer.name for buffer in self._scene.buffers if buffer.published_since_ns is not None}
        self._scene.admin.post("restart", {"away_seconds": fault.seconds})
        self._scene.stack.wait_for("everybody back", lambda: present <= self._rooms_of_alice(), seconds=60)

    def _rooms_of_alice(self) -> set[str]:
        try:
            return set(self._scene.published())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return set()

    def _jump(self, fault: Fault) -> None:
        buffer = self._scene.buffers[fault.target % len(self._scene.buffers)]
        self._scene.disturb_clock(buffer, jump_seconds=CLOCK_JUMP_SECONDS)

    def _lie(self) -> None:
        liar = WebhookLiar(self._scene)
        for pod in self._scene.stack.list_all("pods", labels="app.kubernetes.io/name=replay-operator"):
            if address := pod.get("status", {}).get("podIP"):
                told = liar.tell(f"http://{address}:{WEBHOOK_PORT}/livekit/webhook")
                self._hits[FaultKind.WEBHOOKS_LIE] += told

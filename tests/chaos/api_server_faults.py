"""Faults of the API server: of its process, of its store, and of single calls on their way to it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping

from tests.chaos.deeds import Deed, let_time_pass
from tests.chaos.plan import Fault, FaultKind
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import ApiFrontInThread
from tests.testbed.controlplane import ControlPlane

_SERVER, _STORE = "kube-apiserver", "etcd"

HUNG_RENEWALS = ApiFault(Reaction.HANG, methods=frozenset({"PUT"}), path="/leases/")

# What happens to the operator's calls; the suite's own go straight to the server.
_CALLS: Mapping[FaultKind, tuple[ApiFault, ...]] = {
    FaultKind.LEASE_HANGS: (HUNG_RENEWALS,),
    FaultKind.API_SERVER_FAILS: (ApiFault(Reaction.REFUSE, statuses=(503,)),),
    FaultKind.API_CALLS_FAIL: (
        ApiFault(Reaction.LOSE_ANSWER, methods=frozenset({"POST", "PUT", "PATCH", "DELETE"}), share=0.2),
        ApiFault(Reaction.REFUSE, statuses=(409, 410, 429, 500, 503), share=0.4),
    ),
    FaultKind.API_CALLS_SLOW: (ApiFault(Reaction.DELAY, seconds=1.5),),
    FaultKind.WATCHES_CUT: (
        ApiFault(Reaction.EXPIRE, only_watches=True, share=0.4),
        ApiFault(Reaction.REFUSE, only_watches=True, statuses=(410,), share=0.4),
    ),
}

CALLS_FAIL = frozenset(_CALLS)
"""Kinds of which it is known how many calls they have hit."""


class ApiServerFaults:
    """Carries them out."""

    def __init__(self, plane: ControlPlane, front: ApiFrontInThread, hits: Counter[FaultKind]) -> None:
        """Take the control plane, the front before it, and where it is counted what faults have hit."""
        self._plane = plane
        self._front = front
        self._hits = hits
        self._active: list[FaultKind] = []

    def deeds(self) -> Mapping[FaultKind, Deed]:
        """Give what is done for each kind."""
        return {
            **dict.fromkeys(_CALLS, Deed(self._break_calls, self._mend_calls)),
            FaultKind.API_SERVER_FROZEN: Deed(self._freeze),
            FaultKind.API_SERVER_KILLED: Deed(lambda fault: self._kill(_SERVER, fault)),
            FaultKind.ETCD_KILLED: Deed(lambda fault: self._kill(_STORE, fault)),
        }

    def heal(self) -> None:
        """End what is done to calls; the processes are whole again when their fault returns."""
        self._active.clear()
        self._front.heal()

    def _break_calls(self, fault: Fault) -> None:
        self._active.append(fault.kind)
        self._show()
        if fault.kind is FaultKind.WATCHES_CUT:
            self._front.cut_watches()

    def _mend_calls(self, fault: Fault) -> None:
        self._active.remove(fault.kind)
        self._show()
        self._hits[fault.kind] += sum(self._front.met(each) for each in _CALLS[fault.kind])
        if fault.kind is FaultKind.WATCHES_CUT:
            self._front.cut_watches()

    def _show(self) -> None:
        self._front.break_with(*(each for kind in self._active for each in _CALLS[kind]))

    # While the server is away nothing else can begin: what the suite does goes through the same server.

    def _freeze(self, fault: Fault) -> None:
        pid = self._plane.pids[_SERVER]
        os.kill(pid, signal.SIGSTOP)
        try:
            let_time_pass(fault.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _kill(self, component: str, fault: Fault) -> None:
        self._plane.kill(component)
        try:
            let_time_pass(fault.seconds)
        finally:
            self._plane.start_again(component)

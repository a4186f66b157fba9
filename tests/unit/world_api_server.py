"""The API server of a simulated world, with one buffer in it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from replay_operator.cluster.gateway import Conflict
from tests.builders import buffer_body
from tests.unit.world_faults import Faults
from tests.unit.world_livekit import SEGMENT_SECONDS
from tests.unit.world_time import SimulatedTime

WISH = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "Microphone"}}

Json = dict[str, Any]


class SimulatedApiServer:
    """It is the gateway for the operator. `body` is the buffer, None when it was deleted."""

    def __init__(self, time: SimulatedTime, faults: Faults) -> None:
        self.body: Json | None = buffer_body(source=WISH, windowSeconds=30, segmentSeconds=SEGMENT_SECONDS)
        self.writes: list[tuple[float, frozenset[str]]] = []
        self._time = time
        self._faults = faults

    def edit(self, **spec: Any) -> None:
        assert self.body is not None
        generation = self.body["metadata"]["generation"] + 1
        self.body = deepcopy(self.body) | {
            "spec": self.body["spec"] | spec,
            "metadata": self._next_metadata() | {"generation": generation},
        }

    async def patch_status(self, type_: object, namespace: str, name: str, patch: Json) -> Json | None:
        self._faults.crash_if_told("before a status write")
        if self.body is None:
            return None
        if patch["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise Conflict(409, "the object has been modified")
        self.writes.append((self._time.seconds, frozenset(patch["status"])))
        self.body = self.body | {
            "status": _merged(self.body.get("status", {}), patch["status"]),
            "metadata": self._next_metadata(),
        }
        return deepcopy(self.body)

    async def create(self, type_: object, namespace: str, body: Json) -> None:
        return

    def _next_metadata(self) -> Json:
        assert self.body is not None
        metadata: Json = self.body["metadata"]
        return metadata | {"resourceVersion": str(int(metadata["resourceVersion"]) + 1)}


def _merged(old: Json, patch: Json) -> Json:
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key) or {}, value)
        else:
            result[key] = value
    return result

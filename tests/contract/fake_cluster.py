"""Kubernetes in memory, for tests that count calls. `test_fake_cluster.py` holds it against the real one."""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from replay_operator.api.meta import ObjectMeta
from replay_operator.cluster.gateway import ClusterError, ClusterUnreachable, Conflict, KubernetesGateway
from replay_operator.cluster.resources import ResourceType

Json = dict[str, Any]


class Call(NamedTuple):
    """One request that the operator has made."""

    verb: str
    plural: str
    name: str


class FakeCluster(KubernetesGateway):
    """Keeps objects, and remembers every call that came through the gateway's own methods.

    What a test does itself (`add`, `change`, `remove`) is not remembered.
    """

    def __init__(self) -> None:  # the parent's would ask for a client
        self.calls: list[Call] = []
        self.away_for: set[str] = set()
        """What gets no answer now, such as `patch replaybuffers`."""
        self.refuses: dict[str, ClusterError] = {}
        """What is refused now, and how."""
        self.deleted_at = "2026-11-23T12:00:00Z"
        """The deletionTimestamp of what is deleted now."""
        self._objects: dict[tuple[str, str, str], Json] = {}
        self._version = 100

    @property
    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.verb not in ("get", "list")]

    def writes_of(self, plural: str) -> list[Call]:
        return [call for call in self.writes if call.plural == plural]

    def add(self, type_: ResourceType, body: Json) -> Json:
        """Store an object as it is, with a resource version."""
        meta = body["metadata"]
        self._objects[type_.plural, meta["namespace"], meta["name"]] = self._stamped(body)
        return self.stored(type_, meta["namespace"], meta["name"])

    def change(self, type_: ResourceType, namespace: str, name: str, **parts: Any) -> Json:
        """Replace top-level parts of an object, such as the status of a Job."""
        key = (type_.plural, namespace, name)
        self._objects[key] = self._stamped(self._objects[key] | parts)
        return self.stored(type_, namespace, name)

    def remove(self, type_: ResourceType, namespace: str, name: str) -> None:
        del self._objects[type_.plural, namespace, name]

    def stored(self, type_: ResourceType, namespace: str, name: str) -> Json:
        return copy.deepcopy(self._objects[type_.plural, namespace, name])

    def all_of(self, type_: ResourceType) -> list[Json]:
        return [copy.deepcopy(body) for key, body in self._objects.items() if key[0] == type_.plural]

    async def get(self, type_: ResourceType, namespace: str, name: str) -> Json | None:
        self._called("get", type_, name)
        return copy.deepcopy(self._objects.get((type_.plural, namespace, name)))

    async def pages(
        self, type_: ResourceType, namespace: str, *, labels: str | None = None
    ) -> AsyncIterator[tuple[Json, ...]]:
        self._called("list", type_, labels or "")
        yield tuple(
            copy.deepcopy(body)
            for (plural, where, _), body in self._objects.items()
            if (plural, where) == (type_.plural, namespace)
            and _selects(labels, body["metadata"].get("labels", {}))
        )

    async def create(self, type_: ResourceType, namespace: str, body: Json) -> Json:
        name = body["metadata"]["name"]
        self._called("create", type_, name)
        key = (type_.plural, namespace, name)
        if key in self._objects:
            raise Conflict(409, f"{type_.plural} {name} exists already")
        given = copy.deepcopy(body)
        given.pop("status", None)
        given["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "generation": 1,
            "creationTimestamp": "2026-11-23T12:00:00Z",
        }
        self._objects[key] = self._stamped(given)
        return self.stored(type_, namespace, name)

    async def patch_status(self, type_: ResourceType, namespace: str, name: str, body: Json) -> Json | None:
        self._called("patch", type_, name)
        key = (type_.plural, namespace, name)
        if key not in self._objects:
            return None
        old = self._objects[key]
        version = old["metadata"]["resourceVersion"]
        if body.get("metadata", {}).get("resourceVersion", version) != version:  # its uid guards nothing
            raise Conflict(409, f"{type_.plural} {name} has been modified")
        status = _merged(old.get("status", {}), body.get("status", {}))
        if status != old.get("status", {}):
            self._objects[key] = self._stamped(old | {"status": status})
        return self.stored(type_, namespace, name)

    async def apply(self, type_: ResourceType, namespace: str, name: str, body: Json, *, force: bool) -> Json:
        """Merge what is applied into an object that is there; nobody else owns any of it here."""
        self._called("apply", type_, name)
        key = (type_.plural, namespace, name)
        old = self._objects[key]
        new = _merged(old, body)
        if new != old:
            generation = old["metadata"].get("generation", 1) + (new["spec"] != old["spec"])
            new["metadata"] = old["metadata"] | {"generation": generation}
            self._objects[key] = self._stamped(new)
        return self.stored(type_, namespace, name)

    async def patch(self, type_: ResourceType, namespace: str, name: str, body: Json) -> Json | None:
        self._called("patch", type_, name)
        key = (type_.plural, namespace, name)
        if key not in self._objects:
            return None
        old = self._objects[key]
        given = body.get("metadata", {})
        self._check(old, given.get("resourceVersion"), given.get("uid"))
        new = _merged(old, body)
        if new != old:
            self._objects[key] = self._stamped(new)
        return self._without_finalizers_it_goes(key)

    async def delete(
        self,
        type_: ResourceType,
        namespace: str,
        name: str,
        *,
        meta: ObjectMeta | None = None,
        dependents_first: bool = False,
    ) -> None:
        self._called("delete", type_, name)
        key = (type_.plural, namespace, name)
        if key not in self._objects:
            return
        old = self._objects[key]
        if meta is not None:
            self._check(old, meta.resource_version, meta.uid)
        if "deletionTimestamp" not in old["metadata"]:
            waiting = ["foregroundDeletion"] if dependents_first else []
            finalizers = [*old["metadata"].get("finalizers", []), *waiting]
            self._objects[key] = self._stamped(
                old
                | {
                    "metadata": old["metadata"]
                    | {"deletionTimestamp": self.deleted_at, "finalizers": finalizers}
                }
            )
        self._without_finalizers_it_goes(key)

    def _without_finalizers_it_goes(self, key: tuple[str, str, str]) -> Json:
        found = copy.deepcopy(self._objects[key])
        if "deletionTimestamp" in found["metadata"] and not found["metadata"].get("finalizers"):
            del self._objects[key]
        return found

    @staticmethod
    def _check(old: Json, version: str | None, uid: str | None) -> None:
        meta = old["metadata"]
        if version not in (None, meta["resourceVersion"]) or uid not in (None, meta["uid"]):
            raise Conflict(409, f"{meta['name']} has been modified, or is another one")

    def _called(self, verb: str, type_: ResourceType, name: str) -> None:
        self.calls.append(Call(verb, type_.plural, name))
        if f"{verb} {type_.plural}" in self.away_for:
            raise ClusterUnreachable(0, f"{verb} {type_.plural} {name}: the test lets no answer come")
        if refusal := self.refuses.get(f"{verb} {type_.plural}"):
            raise refusal

    def _stamped(self, body: Json) -> Json:
        self._version += 1
        stamped = copy.deepcopy(body)
        stamped["metadata"]["resourceVersion"] = str(self._version)
        return stamped


def _selects(selector: str | None, labels: dict[str, str]) -> bool:
    """Tell whether `name=value`, or a bare `name`, selects these labels."""
    name, wants_value, value = (selector or "").partition("=")
    return not name or (labels.get(name) == value if wants_value else name in labels)


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result

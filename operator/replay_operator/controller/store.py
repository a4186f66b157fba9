"""What the operator knows of its objects: from the watches, from its own lists, from its own writes."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from replay_operator.api.model import lean
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture

T = TypeVar("T", ReplayBuffer, ReplayCapture)

Json = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Follower(Generic[T]):
    """Who hears at once of each new version, and of each object that has gone, as it was last."""

    known: Callable[[T], None]
    gone: Callable[[T], None]


class ObjectStore(Generic[T]):
    """The newest known version of each object of one kind, by uid.

    Our own write comes back over the watch later than its answer; an event that is older than what is here
    is dropped, so that a decision never works on a status that it has itself replaced. What a list or an
    answer brings first, the watch must bring too: a watch that owes a version for long is deaf.

    What the model cannot read, because another version wrote it, is passed over, for one object must not stop
    the work for all others: it stays as it was when it was read last, and else nobody may take it for gone.

    Args:
        model: Of the kind.
        monotonic: Gives the seconds by which the watch is judged.
    """

    def __init__(self, model: type[T], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._model: type[T] = model
        self._monotonic = monotonic
        self._unreadable: dict[str, str] = {}  # version by uid: each is told once
        self._followers: list[Follower[T]] = []
        self._owed: dict[str, tuple[int, float]] = {}  # version, and since when the watch owes one
        self._objects: dict[str, T] = {}
        self._come: set[str] = set()  # since the last complete list
        self._gone: set[str] = set()
        self.spec_changes = 0
        """Grows when an object comes, goes, or gets another spec; a new status alone does not count."""
        self.changes = 0
        """Grows with every change: what was worked out from all objects holds until then."""

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._objects.values()))

    def follow(self, follower: Follower[T]) -> None:
        """Tell somebody of every change from now on.

        Args:
            follower: It must not raise, and must not take long.
        """
        self._followers.append(follower)

    def get(self, uid: str) -> T | None:
        """Give the object, or None when it is gone."""
        return self._objects.get(uid)

    def by_name(self, name: str) -> T | None:
        """Give the object of a name, or None. Names are unique among those that are there now."""
        return next((o for o in self._objects.values() if o.metadata.name == name), None)

    @property
    def watch_late_seconds(self) -> float:
        """For how long the watch has owed a version that is known from elsewhere; 0 when it owes none."""
        now = self._monotonic()
        return now - min((since for _, since in self._owed.values()), default=now)

    @property
    def unreadable(self) -> frozenset[str]:
        """The uids of objects that are there, and that nobody here could ever read."""
        return frozenset(self._unreadable.keys() - self._objects.keys())

    def heard(self, body: Json) -> None:
        """Take in a version of an object from the watch."""
        known = self._put_if_readable(body)
        if known is None:
            return
        uid = known.metadata.uid
        if _version(body["metadata"]["resourceVersion"]) >= self._owed.get(uid, (0, 0.0))[0]:
            self._owed.pop(uid, None)

    def put(self, body: Json) -> T:
        """Take in a version of an object from elsewhere; an older one changes nothing.

        Args:
            body: The object as the API server gave it.

        Returns:
            What is known now.

        Raises:
            ValidationError: The model cannot read it.
        """
        old = self._objects.get(body["metadata"]["uid"])
        # Before it is read: a list brings thousands that are known already.
        if old is not None and _version(old.metadata.resource_version) >= _version(
            body["metadata"]["resourceVersion"]
        ):
            return old
        new = lean(self._model.model_validate(body))
        if old is None:
            self._come.add(new.metadata.uid)
        if old is None or old.metadata.generation != new.metadata.generation:
            self.spec_changes += 1
        self.changes += 1
        self._unreadable.pop(new.metadata.uid, None)
        self._objects[new.metadata.uid] = new
        _, since = self._owed.get(new.metadata.uid, (0, self._monotonic()))
        self._owed[new.metadata.uid] = (_version(new.metadata.resource_version), since)
        for follower in self._followers:
            follower.known(new)
        return new

    def drop(self, uid: str) -> None:
        """Forget an object that was deleted."""
        self._forget(uid)
        self._unreadable.pop(uid, None)
        self._come.discard(uid)
        self._gone.add(uid)

    async def replace_all(self, pages: AsyncIterable[tuple[Json, ...]]) -> frozenset[str]:
        """Take in a complete list, page by page: as they come, objects need several times the room.

        While it is on its way the watch goes on. What has come since the list before may be younger than
        this one, so only the next list can show that it is gone; what was deleted since stays deleted.
        A list that breaks off leaves what its pages have brought, and shows nothing to be gone.

        Returns:
            The uids that are no longer there: deletions that no watch has told.
        """
        listed: set[str] = set()
        async for page in pages:
            listed.update(body["metadata"]["uid"] for body in page)
            for body in page:
                if body["metadata"]["uid"] not in self._gone:
                    self._put_if_readable(body)
        gone = frozenset(self._objects) - listed - self._come
        for uid in gone:
            self._forget(uid)
        self._come, self._gone = set(), set()
        self._unreadable = {uid: version for uid, version in self._unreadable.items() if uid in listed}
        return gone

    def _put_if_readable(self, body: Json) -> T | None:
        try:
            return self.put(body)
        except ValidationError as error:
            self._pass_over(body["metadata"], error)
            return None

    def _pass_over(self, meta: Json, error: ValidationError) -> None:
        if self._unreadable.get(meta["uid"]) == meta["resourceVersion"]:
            return
        self._unreadable[meta["uid"]] = meta["resourceVersion"]
        self._owed.pop(meta["uid"], None)
        self.changes += 1
        first = error.errors(include_input=False, include_url=False)[0]
        log.warning(
            "%s %s/%s cannot be read and is left alone, %s: bring definitions and operator to one version, "
            "or make the object anew",
            self._model.__name__,
            meta.get("namespace", ""),
            meta["name"],
            ".".join(map(str, first["loc"])),
        )

    def _forget(self, uid: str) -> None:
        last = self._objects.pop(uid, None)
        self._owed.pop(uid, None)
        self.spec_changes += 1
        self.changes += 1
        for follower in self._followers:
            if last is not None:
                follower.gone(last)


def _version(resource_version: str) -> int:
    # Resource versions of one kind compare as numbers: promised from Kubernetes 1.35, true with etcd before.
    return int(resource_version or 0)

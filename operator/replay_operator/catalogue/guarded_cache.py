"""What was read is remembered for a while, in memory or in a Redis that several processes share.

Beside each value lies a generation, a random word. Who changes what a value was read from gives another one,
and a value counts only with the generation that was there before it was read: one that was on its way
meanwhile comes too late by itself, without a lock. Redis may lose a generation (killed, emptied, back from an
old file, away when it was told): a process therefore keeps those that it has given for as long as an older
value may live, and believes no other.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cashews import Cache
from cashews.exceptions import CacheBackendInteractionError
from pydantic import BaseModel, JsonValue, SecretStr, TypeAdapter, ValidationError

from replay_operator.catalogue.errors import UnsupportedCacheError

TTL_SECONDS = 300.0
"""How long another process's change may go unnoticed (DESIGN §9)."""

PATIENCE_SECONDS = 0.5
"""For one answer of Redis: it is asked to save time."""

LEFT_ALONE_SECONDS = 5.0
"""How long a Redis that did not answer is not asked again."""

_GENERATION_SECONDS = 86_400.0
"""Longer than any value lives; a generation that is gone is given anew."""

_IN_MEMORY = "mem://"
_MOST_IN_MEMORY = 20_000
"""Values and generations; those that were not asked for go first."""

_EVERYTHING = "*"

log = logging.getLogger(__name__)

T = TypeVar("T")
V = TypeVar("V")


class _Remembered(BaseModel, frozen=True):
    generations: list[str]
    value: JsonValue


@dataclass(slots=True)
class _Given:
    """A generation that this process gave, and until when it believes no other."""

    generation: str
    until: float


@dataclass(frozen=True, slots=True)
class _Look:
    """What there is. A value that is read now may be kept under these generations; none: not at all."""

    generations: list[str]
    remembered: _Remembered | None


class GuardedCache:
    """Remembers values by their subject. Where Redis is away each is read from its source.

    Args:
        url: `redis://` or `rediss://`, or None: in the memory of this process.
        scope: What the values belong to; caches of the same scope share them.
        ttl_seconds: How long a value is remembered, from the moment at which its reading began.
        monotonic: Gives seconds.

    Raises:
        UnsupportedCacheError: The URL is none of Redis. What it says is not repeated: it may hold a password.
    """

    def __init__(
        self,
        url: SecretStr | None,
        *,
        scope: str,
        ttl_seconds: float = TTL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scope = scope
        self._ttl_seconds = ttl_seconds
        self._monotonic = monotonic
        self._given: dict[str, _Given] = {}
        self._away_until: float | None = None
        self._cache = _open(url)

    async def remembered(self, subject: str, kind: TypeAdapter[V], read: Callable[[], Awaitable[V]]) -> V:
        """Give the value of a subject.

        Args:
            subject: Which.
            kind: What the value is.
            read: Reads it from its source, where it is not remembered.
        """
        begun = self._monotonic()
        look = await self._ask(lambda: self._look(subject))
        if look is None:
            return await read()
        if look.remembered is not None:
            # Another version of this program may have kept something else.
            with suppress(ValidationError):
                return kind.validate_python(look.remembered.value)
        value = await read()
        left = self._ttl_seconds - (self._monotonic() - begun)
        if look.generations and left > 0:
            fresh = _Remembered(generations=look.generations, value=kind.dump_python(value, mode="json"))
            await self._ask(lambda: self._store(subject, fresh, left))
        return value

    async def forget(self, subjects: Collection[str]) -> None:
        """Declare values stale: from now on this process is given none that was read before.

        Args:
            subjects: Whose source has changed.
        """
        now = self._monotonic()
        self._given = {place: given for place, given in self._given.items() if given.until > now}
        for subject in subjects:
            self._given[subject] = _Given(_new_generation(), now + self._ttl_seconds)
        for subject in subjects:
            await self._ask(partial(self._tell, subject, self._given[subject].generation))

    async def forget_everything(self) -> None:
        """Declare all values stale."""
        await self.forget([_EVERYTHING])

    async def close(self) -> None:
        """Close every connection."""
        await self._cache.close()

    async def _look(self, subject: str) -> _Look:
        places = (_EVERYTHING, subject)
        *found, kept = await self._cache.get_many(
            *(self._generation_key(place) for place in places), self._value_key(subject)
        )
        generations = [await self._believed(place, word) for place, word in zip(places, found, strict=True)]
        known = [generation for generation in generations if generation is not None]
        if len(known) < len(places):
            return _Look([], None)
        remembered = _read(kept)
        valid = remembered is not None and remembered.generations == known
        return _Look(known, remembered if valid else None)

    async def _believed(self, place: str, found: object) -> str | None:
        """Give a generation to go by, or None where somebody else has just given one."""
        generation = found.decode(errors="replace") if isinstance(found, bytes) else None
        given = self._given.get(place)
        if given is not None and given.until > self._monotonic():
            if generation == given.generation:
                return generation
            # Another process's, or one from before this process's change: nobody can tell.
            given.generation = _new_generation()
            await self._tell(place, given.generation)
            return given.generation
        if generation is not None:
            return generation
        fresh = _new_generation()
        was_free = await self._cache.set(
            self._generation_key(place), fresh.encode(), expire=_GENERATION_SECONDS, exist=False
        )
        return fresh if was_free else None

    async def _tell(self, place: str, generation: str) -> None:
        await self._cache.set(self._generation_key(place), generation.encode(), expire=_GENERATION_SECONDS)

    async def _store(self, subject: str, fresh: _Remembered, seconds: float) -> None:
        await self._cache.set(self._value_key(subject), fresh.model_dump_json().encode(), expire=seconds)

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Give an answer of the cache, or None where it has none in time."""
        if self._away_until is not None and self._monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await question()
        except (CacheBackendInteractionError, TimeoutError, OSError) as error:
            if self._away_until is None:
                cause = error.__cause__ or error
                log.warning("the quota cache does not answer: %s; quotas are read from the database", cause)
            self._away_until = self._monotonic() + LEFT_ALONE_SECONDS
            return None
        if self._away_until is not None:
            log.info("the quota cache is back")
            self._away_until = None
        return answer

    def _generation_key(self, place: str) -> str:
        return f"replay:{self._scope}:generation:{place}"

    def _value_key(self, subject: str) -> str:
        return f"replay:{self._scope}:value:{subject}"


def _open(url: SecretStr | None) -> Cache:
    cache = Cache()
    if url is None:
        cache.setup(_IN_MEMORY, size=_MOST_IN_MEMORY, check_interval=0)
        return cache
    address = url.get_secret_value()
    if not address.startswith(("redis://", "rediss://")):
        raise UnsupportedCacheError(
            "the quota cache's URL cannot be used: write redis://:password@host:6379/0 (rediss:// with TLS), "
            "or nothing to keep quotas in memory"
        )
    # No pickles: whoever can write to Redis could run code here.
    cache.setup(
        address,
        suppress=False,
        pickle_type="null",
        socket_timeout=PATIENCE_SECONDS,
        socket_connect_timeout=PATIENCE_SECONDS,
    )
    return cache


def _new_generation() -> str:
    return secrets.token_hex(8)


def _read(kept: object) -> _Remembered | None:
    if not isinstance(kept, bytes):
        return None
    try:
        return _Remembered.model_validate_json(kept)
    except ValidationError:
        return None

"""`replay-operator catalogue`: looks into the catalogue, and sets the limits of owners."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from replay_operator.api.model import ApiModel
from replay_operator.catalogue.answers import QuotaListAnswer, clip_list, quota_answer, session_list
from replay_operator.catalogue.clips import Clips
from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.errors import CatalogueError, UnsupportedDatabaseError
from replay_operator.catalogue.guarded_cache import GuardedCache
from replay_operator.catalogue.listing import Chosen, Place, read_cursor
from replay_operator.catalogue.migrate import require_schema
from replay_operator.catalogue.owners import Owners
from replay_operator.catalogue.quota_cache import CachedOwners, scope_of
from replay_operator.catalogue.sessions import Sessions
from replay_operator.catalogue.usage import Usage
from replay_operator.cli.catalogue.arguments import Change, Question, limits_of, parse
from replay_operator.cli.catalogue.output import as_json, as_table
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.settings import CatalogueSettings

EXIT_DONE = 0
EXIT_FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Carry out one question or one change.

    Args:
        arguments: The command line without the program's name and the subcommand.

    Returns:
        The exit code: 0 when it was done, 1 when it was not, 2 for a command line that makes no sense.
    """
    now = datetime.now(UTC)
    flags = parse(arguments, now)
    try:
        answer = asyncio.run(_run(flags, now))
    except (CatalogueError, ValidationError) as error:
        sys.stderr.write(f"replay-operator: {error}\n")
        return EXIT_FAILED
    sys.stdout.write(as_json(answer) if flags.output == "json" else as_table(answer))
    return EXIT_DONE


async def _run(flags: argparse.Namespace, now: datetime) -> ApiModel:
    settings = CatalogueSettings()
    url = settings.catalogue_url
    if url is None or not url.get_secret_value():
        raise UnsupportedDatabaseError(
            "REPLAY_CATALOGUE_URL is not set: set it, or run this where the operator runs, with "
            "kubectl exec deploy/replay-operator -- replay-operator catalogue ..."
        )
    database = open_database(url, must_exist=True)
    try:
        await require_schema(database)
        match flags.question:
            case Question.CLIPS:
                return clip_list(
                    await Clips(database).page(_chosen(flags), limit=flags.limit, after=_after(flags))
                )
            case Question.SESSIONS:
                return session_list(
                    await Sessions(database).page(_chosen(flags), limit=flags.limit, after=_after(flags))
                )
            case _:
                return await _quotas(flags, database, settings, now)
    finally:
        await database.close()


async def _quotas(
    flags: argparse.Namespace, database: Database, settings: CatalogueSettings, now: datetime
) -> QuotaListAnswer:
    usage, after = Usage(database), None
    if flags.change is not None:
        await _change(flags, database, settings, now)
        names: tuple[str, ...] = (flags.changed_owner,)
    elif flags.owner is not None:
        names = (flags.owner,)
    else:
        names = await usage.owners(limit=flags.limit + 1, after=flags.cursor or "")
        if len(names) > flags.limit:
            names = names[: flags.limit]
            after = names[-1]
    defaults = settings.quota_limits()
    quotas = [quota_answer(await usage.of_owner(name, now), defaults) for name in names]
    return QuotaListAnswer(quotas=tuple(quotas), next=after)


async def _change(
    flags: argparse.Namespace, database: Database, settings: CatalogueSettings, now: datetime
) -> None:
    cache = GuardedCache(settings.quota_cache_url, scope=scope_of(database))
    owners = CachedOwners(Owners(database), cache)
    try:
        limits = QuotaLimits()
        if flags.change is Change.SET:
            # Read from the database itself: what is remembered may be another process's older word.
            kept = await Owners(database).own_limits(flags.changed_owner)
            limits = limits_of(flags).or_else(kept)
        await owners.set_own_limits(flags.changed_owner, limits, now)
    finally:
        await cache.close()


def _chosen(flags: argparse.Namespace) -> Chosen:
    return Chosen(owner=flags.owner, room=flags.room, statuses=tuple(flags.status or ()), since=flags.since)


def _after(flags: argparse.Namespace) -> Place | None:
    return None if flags.cursor is None else read_cursor(flags.cursor)

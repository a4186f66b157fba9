"""Measures what the catalogue answers in how much time: `python -m benchmarks.catalogue`.

A catalogue of many rows in a SQLite file and in a Postgres of its own, and a Redis, all on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path

from pydantic import SecretStr

from benchmarks.catalogue.ways import pages, quota_checks
from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from tests.catalogue import postgres, redis_server
from tests.catalogue.bulk import fill
from tests.catalogue.questions import QUESTIONS
from tests.catalogue.statements import plan


@asynccontextmanager
async def catalogues(folder: Path, rows: int) -> AsyncIterator[dict[str, Database]]:
    """One on each engine, filled."""
    async with AsyncExitStack() as stack:
        urls = {"SQLite": f"sqlite:///{folder}/catalogue.db"}
        found = postgres.programs()
        if found is None:
            print("Postgres is left out: install Debian's package postgresql")
        else:
            urls["Postgres"] = stack.enter_context(postgres.running(found)).new_database()
        databases = {}
        for engine, url in urls.items():
            database = open_database(SecretStr(url))
            stack.push_async_callback(database.close)
            await bring_up_to_date(database)
            begun = time.monotonic()
            await fill(database, clips=rows, sessions=rows // 5)
            seconds = time.monotonic() - begun
            print(f"{engine}: {rows} clips with files and {rows // 5} sessions in {seconds:.1f} s")
            databases[engine] = database
        yield databases


async def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="replay-bench-") as temporary:
        folder = Path(temporary)
        async with catalogues(folder, arguments.rows) as databases:
            for engine, database in databases.items():
                await print_pages(engine, database, arguments)
            for engine, database in databases.items():
                await print_plans(engine, database)
            redis = redis_server.program()
            if redis is None:
                print("Redis is left out: install Debian's package redis-server")
            with redis_server.running(redis, folder) if redis else nullcontext() as server:
                url = SecretStr(server.url) if server is not None else None
                for engine, database in databases.items():
                    for timed in await quota_checks(database, url, arguments.samples):
                        print(f"{engine}: {timed}")
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")


async def print_pages(engine: str, database: Database, arguments: argparse.Namespace) -> None:
    one, many = await pages(database, random.Random(7), arguments.samples, arguments.limit)  # noqa: S311
    print(f"{engine}: {one}")
    print(f"{engine}: {many}")
    print(f"{engine}: N+1 takes {many.p95_ms / one.p95_ms:.1f} times as long at p95")


async def print_plans(engine: str, database: Database) -> None:
    async with database.reading() as connection:
        plans = {name: await plan(connection, query) for name, (query, _) in QUESTIONS.items()}
    missed = [name for name, steps in plans.items() if not any(QUESTIONS[name][1] in step for step in steps)]
    print(f"{engine}: {len(plans) - len(missed)} of {len(plans)} questions use their index")
    for name in missed:
        print(f"{engine}: {name}: {' / '.join(plans[name])}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catalogue", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="clips; one owner has a hundredth (%(default)s)"
    )
    parser.add_argument("--samples", type=int, default=300, help="of each measurement (%(default)s)")
    parser.add_argument("--limit", type=int, default=50, help="clips on a page (%(default)s)")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()

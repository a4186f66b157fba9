"""A process that writes clips to a catalogue until it is killed, and says what was committed.

Run as `python -m tests.catalogue.killed_writer <url>`.
"""

import asyncio
import itertools
import sys

from pydantic import SecretStr

from replay_operator.catalogue.database import open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.writing import EntryWriter
from tests.catalogue.entries import clip

CLIPS_IN_A_BATCH = 20


async def write(url: str) -> None:
    database = open_database(SecretStr(url))
    await bring_up_to_date(database)
    for batch in itertools.count():
        await EntryWriter(database).write([clip(f"{batch}-{n}") for n in range(CLIPS_IN_A_BATCH)])
        print(batch, flush=True)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))

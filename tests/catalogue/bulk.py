"""Many rows at once, made by the database itself. One owner has a hundredth of all clips."""

from __future__ import annotations

import re

from sqlalchemy import text

from replay_operator.catalogue.database import Database

HEAVY_OWNER = "heavy"
"""Has one clip of a hundred: 10,000 of 1,000,000."""

ROOM = "room-7"
LIGHT_OWNER = "user-7"

# The multiplier is odd: each n has another uid, in no order.
_UID = {
    "postgresql": "lpad(to_hex((n * 2654435761) & 4294967295), 8, '0')",
    "sqlite": "printf('%08x', (n * 2654435761) & 4294967295)",
}
_AGO = {
    "postgresql": "timestamptz '2026-11-23 12:00:00+00' - (n * {seconds}) * interval '1 second'",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', '2026-11-23 12:00:00', '-' || (n * {seconds}) || ' seconds')"
    " || '.000000'",
}
_NUMBERS = {
    "postgresql": "FROM generate_series(CAST(:first AS bigint), :last) AS numbers(n)",
    "sqlite": "FROM (WITH RECURSIVE numbers(n) AS"
    " (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) SELECT n FROM numbers) AS numbers",
}
_SLICE = 100_000
"""Rows in a statement: it has to end within the time that the catalogue gives one."""

_OWNER = f"CASE WHEN n % 100 = 0 THEN '{HEAVY_OWNER}' ELSE 'user-' || (n % 9973) END"
_CLIP = "CASE WHEN n % 1000 = 3 THEN 'Pending' WHEN n % 50 = 1 THEN 'Failed' ELSE 'Ready' END"
_SESSION = "CASE WHEN n % 200 = 3 THEN 'Active' WHEN n % 200 = 5 THEN 'Paused' ELSE 'Ended' END"

_CLIPS = """
INSERT INTO replay_clip
SELECT {uid}, 'team', 'clip-' || n, {owner}, 'room-' || (n % 5003), 'buffer', 'Goal!', {status},
 'ClipReady', CASE WHEN n % 400 = 7 THEN 'Delete' ELSE 'Retain' END, {made}, {made}, {made}, {made}, 60000,
 45000000, {made}, {made} {numbers}
"""
_FILES = """
INSERT INTO clip_file SELECT {uid}, '{kind}', 'user/clip-' || n || '.{ending}', {size}, NULL, NULL {numbers}
WHERE {status} = 'Ready'
"""
_SESSIONS = """
INSERT INTO buffer_session
SELECT {uid}, 'team', 'buffer-' || n, {owner}, 'room-' || (n % 5003), 'alice', {status}, 'Recording', NULL,
 NULL, NULL, 'team/buffer', 600, {made}, NULL, CASE WHEN {status} = 'Ended' THEN {over} END {numbers}
"""


async def fill(database: Database, *, clips: int, sessions: int) -> None:
    """Make clips with their files, and sessions.

    Postgres counts its rows by itself sooner or later, and plans by it; SQLite does not, and is not asked to.

    Args:
        database: With an empty schema.
        clips: How many.
        sessions: How many.
    """
    dialect = database.engine.dialect.name
    words = {"uid": _UID[dialect], "owner": _OWNER, "numbers": _NUMBERS[dialect]}
    made, over = (_AGO[dialect].format(seconds=seconds) for seconds in (13, 12))
    of_clips = [
        _CLIPS.format(status=_CLIP, made=made, **words),
        _FILES.format(status=_CLIP, kind="Video", ending="mp4", size=45_000_000, **words),
        _FILES.format(status=_CLIP, kind="Thumbnail", ending="jpg", size="NULL", **words),
    ]
    of_sessions = [_SESSIONS.format(status=_SESSION, made=made, over=over, **words)]
    for statements, rows in ((of_clips, clips), (of_sessions, sessions)):
        for first in range(0, rows, _SLICE):
            values = {"first": first, "last": min(rows, first + _SLICE) - 1}
            for statement in statements:
                # To SQLAlchemy every other colon would begin a name.
                escaped = re.sub(r":(?!first|last)", r"\\:", statement)
                async with database.writing() as connection:
                    await connection.execute(text(escaped), values)
    if dialect == "postgresql":
        async with database.writing() as connection:
            await connection.execute(text("ANALYZE"))

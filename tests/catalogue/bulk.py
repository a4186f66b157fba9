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
    "postgresql": "FROM generate_series(CAST(0 AS bigint), :last) AS numbers(n)",
    "sqlite": "FROM (WITH RECURSIVE numbers(n) AS"
    " (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last) SELECT n FROM numbers)",
}
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
INSERT INTO clip_file SELECT uid, '{kind}', 'user/' || name || '.{ending}', {size}, NULL FROM replay_clip
WHERE status = 'Ready'
"""
_SESSIONS = """
INSERT INTO buffer_session
SELECT {uid}, 'team', 'buffer-' || n, {owner}, 'room-' || (n % 5003), 'alice', {status}, 'Recording', NULL,
 NULL, NULL, 'team/buffer', 600, {made}, NULL, CASE WHEN {status} = 'Ended' THEN {over} END {numbers}
"""


async def fill(database: Database, rows: int) -> None:
    """Make clips with their files, and as many sessions.

    Postgres counts its rows by itself sooner or later, and plans by it; SQLite does not, and is not asked to.

    Args:
        database: With an empty schema.
        rows: Clips, and sessions.
    """
    dialect = database.engine.dialect.name
    words = {
        "uid": _UID[dialect],
        "owner": _OWNER,
        "made": _AGO[dialect].format(seconds=13),
        "over": _AGO[dialect].format(seconds=12),
        "numbers": _NUMBERS[dialect],
    }
    statements = [
        _CLIPS.format(status=_CLIP, **words),
        _FILES.format(kind="Video", ending="mp4", size=45_000_000),
        _FILES.format(kind="Thumbnail", ending="jpg", size="NULL"),
        _SESSIONS.format(status=_SESSION, **words),
    ]
    async with database.writing() as connection:
        for statement in statements:
            values = {"last": rows - 1} if ":last" in statement else {}
            # To SQLAlchemy every other colon would begin a name.
            escaped = re.sub(r":(?!last)", r"\:", statement)
            await connection.execute(text(escaped), values)
        if dialect == "postgresql":
            await connection.execute(text("ANALYZE"))

"""People who look at a buffer, as a player asks for them: a playlist and a segment, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from enum import StrEnum

import aiohttp

SPREAD_SECONDS = 1.0
"""Players of the live end ask for a new segment within their own playlist's interval, not at one instant."""


class Places(StrEnum):
    """Where in the window the viewers are."""

    TOGETHER = "at the live end"
    APART = "each elsewhere"


async def look(base_url: str, query: str, *, viewers: int, segments: int, places: Places) -> int:
    """Let all of them look at so many segments each, and give the bytes of media that they got.

    Args:
        base_url: Of the buffer's preview.
        query: What opens it.
        viewers: How many there are.
        segments: How many segments each looks at.
        places: Where they are.

    Raises:
        aiohttp.ClientError: Something was refused.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), raise_for_status=True
    ) as session:
        playlist = f"{base_url}/playlist.m3u8?{query}"
        addresses = list(named_in(await _text(session, playlist)))
        taken = 0
        for turn in range(segments):
            # In step, as real time keeps them; only the time in which nobody asks for anything is left out.
            wanted = places_of(places, turn, viewers=viewers, segments=segments, known=len(addresses))
            got = (_viewer(session, playlist, f"{base_url}/{addresses[at]}") for at in wanted)
            taken += sum(await asyncio.gather(*got))
    return taken


def places_of(places: Places, turn: int, *, viewers: int, segments: int, known: int) -> list[int]:
    """Give the number of the segment in the playlist that each viewer wants next.

    Args:
        places: Where the viewers are.
        turn: How many segments each has had.
        viewers: How many there are.
        segments: How many each looks at.
        known: How many are in the playlist.
    """
    if places is Places.TOGETHER:
        return [known - segments + turn] * viewers
    return [(viewer * known // viewers + turn) % known for viewer in range(viewers)]


def named_in(playlist: str) -> Iterator[str]:
    """Give the addresses of a playlist's segments.

    Args:
        playlist: Its text.
    """
    return (line for line in playlist.splitlines() if line and not line.startswith("#"))


async def _viewer(session: aiohttp.ClientSession, playlist: str, segment: str) -> int:
    await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))  # noqa: S311 - nothing is secret here
    await _text(session, playlist)
    taken = 0
    async with session.get(segment) as answer:
        async for piece in answer.content.iter_any():
            taken += len(piece)
    return taken


async def _text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as answer:
        return await answer.text()

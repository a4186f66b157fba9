"""The rules of RFC 8216 that a media playlist and its next version can be held against."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_DECIMAL = re.compile(r"\d+")
_EXTINF = re.compile(r"#EXTINF:(\d+\.\d+),")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True)
class ReadSegment:
    number: int
    discontinuity: int
    uri: str
    seconds: float
    at: datetime


@dataclass(frozen=True)
class ReadPlaylist:
    tags: dict[str, str]
    segments: tuple[ReadSegment, ...]
    ended: bool

    @property
    def target_seconds(self) -> int:
        return int(self.tags["TARGETDURATION"])


def read_media_playlist(text: str) -> ReadPlaylist:
    """Read a playlist, and refuse one that breaks a rule of §4."""
    assert text.endswith("\n")
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U", "§4.3.1.1: it is the first line"
    assert len(lines) == len([line for line in lines if line.strip() == line and line])
    ended = lines[-1] == "#EXT-X-ENDLIST"
    body = lines[1:-1] if ended else lines[1:]
    head = body[: next(i for i, line in enumerate(body) if not line.startswith("#"))]
    tags = {
        name.removeprefix("#EXT-X-"): value
        for name, _, value in (line.partition(":") for line in head)
        if name not in ("#EXTINF", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-DISCONTINUITY")
    }
    assert int(tags["VERSION"]) >= 3, "§7: EXTINF has fractions"
    for name in ("TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE"):
        assert _DECIMAL.fullmatch(tags[name]), f"§4.2: {name} is a decimal integer"
        assert int(tags[name]) < 2**64
        place = next(i for i, line in enumerate(body) if line.startswith(f"#EXT-X-{name}:"))
        first = next(i for i, line in enumerate(body) if line.startswith(("#EXTINF", "#EXT-X-PROGRAM")))
        assert place < first, f"§4.3.3: {name} comes before the first segment"
        assert sum(line.startswith(f"#EXT-X-{name}:") for line in body) == 1, "§4.3.3: once at most"
    segments = _read_segments(
        body[len(tags) :], int(tags["MEDIA-SEQUENCE"]), int(tags["DISCONTINUITY-SEQUENCE"])
    )
    for segment in segments:
        assert round(segment.seconds) <= int(tags["TARGETDURATION"]), "§4.3.3.1"
        assert segment.seconds > 0
    return ReadPlaylist(tags, segments, ended)


def _read_segments(lines: list[str], number: int, discontinuity: int) -> tuple[ReadSegment, ...]:
    segments: list[ReadSegment] = []
    seconds: float | None = None
    at: datetime | None = None
    for line in lines:
        if line == "#EXT-X-DISCONTINUITY":
            assert (seconds, at) == (None, None)
            discontinuity += 1
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            text = line.partition(":")[2]
            assert _DATE_TIME.fullmatch(text), "§4.3.2.6: with its zone, to the millisecond"
            at = datetime.fromisoformat(text)
        elif match := _EXTINF.fullmatch(line):
            seconds = float(match.group(1))
        else:
            assert not line.startswith("#"), f"{line} is no tag of a segment"
            assert seconds is not None, "§4.3.2.1: every segment has its EXTINF"
            assert at is not None, "a capture time for each"
            segments.append(ReadSegment(number + len(segments), discontinuity, line, seconds, at))
            seconds = at = None
    assert segments, "players take an empty playlist for a fault"
    assert (seconds, at) == (None, None)
    return tuple(segments)


def assert_may_follow(before: ReadPlaylist, after: ReadPlaylist) -> None:
    """Hold a playlist against the version before it (§6.2.1 and §6.2.2)."""
    assert not before.ended, "nothing follows the end"
    assert after.target_seconds == before.target_seconds, "§6.2.1: the target duration does not change"
    first, last = after.segments[0].number, after.segments[-1].number
    assert first >= before.segments[0].number, "§6.2.2: numbers never go back"
    assert last >= before.segments[-1].number or first > before.segments[-1].number
    known = {segment.number: segment for segment in before.segments}
    for segment in after.segments:
        if segment.number in known:
            assert segment == known[segment.number], "§6.2.1: what is there stays as it is"
    told = {segment.uri: segment.number for segment in before.segments}
    for segment in after.segments:
        assert told.get(segment.uri, segment.number) == segment.number, "§6.2.2: a segment keeps its number"
    assert after.segments[0].discontinuity >= before.segments[0].discontinuity

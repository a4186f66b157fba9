"""What a viewer is shown of one segment: from when to when, and what a player must know beforehand. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from replay_operator.media.timeline import MIN_PAUSE_TICKS, Interval
from replay_operator.media.ts_probe import SegmentScan


@dataclass(frozen=True, slots=True)
class ShownSpan:
    """A segment as a player meets it.

    Attributes:
        interval: Its stretch of the run's timeline.
        lead_ticks: By how much its first sample comes before that: sound that begins before the picture.
        layout: Its tracks and their parameters.
    """

    interval: Interval
    lead_ticks: int
    layout: str


def shown_span(scan: SegmentScan) -> ShownSpan:
    """Take it from the packets: what egress writes as EXTINF is what was asked (livekit-measured §2).

    The worker cuts at key frames, so that the video of one segment ends where that of the next begins; sound
    reaches up to 60 ms over either. Where the video ends long before the sound does (it was muted), it
    comes back in the next segment, and the sound tells how long this one is.

    Args:
        scan: What is in the segment.
    """
    video = scan.tracks[0]
    end = scan.end if scan.end > video.end + MIN_PAUSE_TICKS else video.end
    return ShownSpan(
        Interval(video.start, max(end, video.start + 1)),
        video.start - scan.start,
        " ".join(f"{track.track.value}={track.parameters}" for track in scan.tracks),
    )

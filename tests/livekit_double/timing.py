"""How long things take. The defaults are what the real server and worker were measured to need."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Timing:
    """Delays of the double, in seconds. Tests shorten the ones that they do not look at.

    Source of every default: livekit-server 1.13.5 with egress 1.14.1, recorded in `tests/data/livekit`.
    """

    # Answer of StartTrackCompositeEgress: 0.57 s when only idle workers bid, 0.06-0.10 s from a busy one.
    start_idle_seconds: float = 0.57
    start_busy_seconds: float = 0.08
    # The record appears this long before the answer (0.06 s in every recorded start).
    registered_before_answer_seconds: float = 0.06
    # Three rounds of asking the fleet before "no response from servers" (21.9-23.5 s).
    no_worker_seconds: float = 22.0
    # From the answer: the handler process comes up, then the first frame is captured.
    handler_start_seconds: float = 0.05
    first_frame_seconds: float = 0.26
    # ACTIVE is reported 0.66 s after the first frame (about 0.9 s after STARTING).
    active_after_first_frame_seconds: float = 0.66
    # Started on a muted video: ACTIVE 5.74 s after the first sound, the first (black) picture after 3.2 s.
    active_after_muted_start_seconds: float = 5.74
    muted_start_video_lag_seconds: float = 3.2
    # From the last black picture to the first one after an unmute: 2.06 s without any.
    unmute_gap_seconds: float = 2.06
    # A track id that nobody publishes: FAILED 32 s after StartTrackCompositeEgress was answered.
    unknown_track_seconds: float = 32.0
    # StopEgress of an unknown, ended or orphaned egress. The real server needs 3.0 s; no test wants to wait.
    stop_refusal_seconds: float = 0.05
    # From StopEgress (or SIGINT) to COMPLETE: 0.16-0.3 s.
    complete_after_ending_seconds: float = 0.17
    # All tracks gone: ENDING after 0.8 s, COMPLETE after 3.0 s.
    source_closed_ending_seconds: float = 0.8
    source_closed_complete_seconds: float = 3.0
    # A publisher that vanished without a word is taken out of its room after 20.5 s.
    publisher_lost_seconds: float = 20.5
    # A handler that was killed: its egress participant leaves 20.6 s after the record said FAILED.
    handler_lost_seconds: float = 20.6
    # Clients are back in their rooms this long after their server is (0.2 s after it listened again).
    rejoin_seconds: float = 0.2
    # A worker that vanished: its egress participants leave 23-25 s later. The record never changes.
    worker_lost_seconds: float = 24.0
    # A segment is copied one whole segment and this long after its media ended (median, 6 s and 10 s).
    arrival_lag_seconds: float = 0.65
    # Final segment -> index.m3u8 1.6-2.2 ms; -> live.m3u8 3.4-3.7 ms.
    index_lag_seconds: float = 0.002
    live_lag_seconds: float = 0.002
    # Unpublishing the video of an egress that also has sound flushes what was closed 0.3 s later.
    unpublished_flush_seconds: float = 0.3
    # An idle worker leaves 1.65 s after SIGTERM.
    exit_seconds: float = 1.65


def timing_from_environment(environment: Mapping[str, str]) -> Timing:
    """Reads overrides from `LIVEKIT_DOUBLE_TIMING`, a JSON object of field names and seconds.

    Args:
        environment: the process environment.

    Raises:
        ValueError: if a name is not a field of `Timing`.
    """
    return timing_from(json.loads(environment.get("LIVEKIT_DOUBLE_TIMING", "{}")))


def timing_from(overrides: Mapping[str, float]) -> Timing:
    """The measured timing with some delays changed.

    Args:
        overrides: seconds by field name.

    Raises:
        ValueError: if a name is not a field of `Timing`.
    """
    known = {field.name for field in fields(Timing)}
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise ValueError(
            f"LIVEKIT_DOUBLE_TIMING: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}"
        )
    return replace(Timing(), **{name: float(seconds) for name, seconds in overrides.items()})

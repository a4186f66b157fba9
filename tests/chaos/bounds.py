"""How much of a source's time each kind of fault may cost. The table that the suite holds the system to."""

from __future__ import annotations

from tests.chaos.plan import FaultKind

SEGMENT_SECONDS = 2

START_LATENCY_SECONDS = 2.0
"""From the decision to the first frame: 0.9 s on an idle machine (livekit-measured §3)."""

MEASURING_SECONDS = 0.3
"""Where one segment ends and the next begins, and the moment of a leave, are known only so well."""

CLOCK_JUMP_SECONDS = 1.5
"""A frame comes so much later than its timestamp says: well above the 0.5 s at which a clock is renewed."""

_PART_THAT_RECORDS_NOTHING = 0.0

_FILES_STOP = 3 * SEGMENT_SECONDS + START_LATENCY_SECONDS + 5.0
"""Segments in the making are lost (2), then the files tell it (2 x segmentSeconds + 3 s after the last)."""

_SOURCE_LOOKUP = 5.0 + START_LATENCY_SECONDS + 1.0
"""A room without its source is looked up every 5 s, and LiveKit's list is a second old."""

_TOLD_BY_LIVEKIT = START_LATENCY_SECONDS + 3.0
"""The next list tells it, a second later at most, and a start may have to be tried again."""

BOUND_SECONDS = {
    FaultKind.OPERATOR_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.OPERATOR_POD_DELETED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.OPERATOR_FROZEN: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LEASE_HANGS: _PART_THAT_RECORDS_NOTHING,
    FaultKind.AGENT_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.AGENT_FROZEN: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_SERVER_FROZEN: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_SERVER_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.ETCD_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_SERVER_FAILS: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_CALLS_FAIL: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_CALLS_SLOW: _PART_THAT_RECORDS_NOTHING,
    FaultKind.WATCHES_CUT: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_REFUSES: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_SILENT: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_HANGS_UP: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_SLOW: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_FORGETS: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_EMPTY: _PART_THAT_RECORDS_NOTHING,
    FaultKind.WEBHOOKS_LIE: _PART_THAT_RECORDS_NOTHING,
    FaultKind.WORKER_DRAINED: 0.0,
    FaultKind.CLOCK_JUMPED: CLOCK_JUMP_SECONDS,
    FaultKind.WORKER_KILLED: _FILES_STOP,
    FaultKind.WORKER_INTERRUPTED: _TOLD_BY_LIVEKIT,
    FaultKind.LIVEKIT_RESTARTED: _SOURCE_LOOKUP,
    FaultKind.PUBLISHER_RETURNS: _SOURCE_LOOKUP,
    FaultKind.TRACK_REPUBLISHED: _FILES_STOP,
    FaultKind.BUFFER_REPLACED: _TOLD_BY_LIVEKIT,
}

RECORDS_ON = frozenset(
    kind
    for kind, bound in BOUND_SECONDS.items()
    if bound == _PART_THAT_RECORDS_NOTHING and kind is not FaultKind.WORKER_DRAINED
)
"""Kinds after which every recording goes on as it was: not one new run."""

KEEPS_OPERATOR = frozenset(
    {
        FaultKind.AGENT_KILLED,
        FaultKind.AGENT_FROZEN,
        FaultKind.WATCHES_CUT,
        FaultKind.LIVEKIT_REFUSES,
        FaultKind.LIVEKIT_SILENT,
        FaultKind.LIVEKIT_HANGS_UP,
        FaultKind.LIVEKIT_SLOW,
        FaultKind.LIVEKIT_FORGETS,
        FaultKind.LIVEKIT_EMPTY,
        FaultKind.WEBHOOKS_LIE,
    }
)
"""Kinds that the operator's process lives through. The others may cost it its Lease."""

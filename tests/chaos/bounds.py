"""How much of a source's time each kind of fault may cost. The table that the suite holds the system to."""

from __future__ import annotations

from tests.chaos.plan import FaultKind

SEGMENT_SECONDS = 2

START_LATENCY_SECONDS = 2.0
"""From the decision to the first frame: 0.9 s on an idle machine (livekit-measured §3)."""

MEASURING_SECONDS = 0.3
"""Where one segment ends and the next begins, and the moment of a leave, are known only so well."""

_PART_THAT_RECORDS_NOTHING = 0.0

_FILES_STOP = 3 * SEGMENT_SECONDS + START_LATENCY_SECONDS + 5.0
"""Segments in the making are lost (2), then the files tell it (2 x segmentSeconds + 3 s after the last)."""

_SOURCE_LOOKUP = 5.0 + START_LATENCY_SECONDS + 1.0
"""A room without its source is looked up every 5 s, and LiveKit's list is a second old."""

BOUND_SECONDS = {
    FaultKind.OPERATOR_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.OPERATOR_POD_DELETED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.AGENT_KILLED: _PART_THAT_RECORDS_NOTHING,
    FaultKind.AGENT_FROZEN: _PART_THAT_RECORDS_NOTHING,
    FaultKind.API_SERVER_FROZEN: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_REFUSES: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_SILENT: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_HANGS_UP: _PART_THAT_RECORDS_NOTHING,
    FaultKind.LIVEKIT_FORGETS: _PART_THAT_RECORDS_NOTHING,
    FaultKind.WORKER_DRAINED: 0.0,
    FaultKind.WORKER_KILLED: _FILES_STOP,
    FaultKind.PUBLISHER_RETURNS: _SOURCE_LOOKUP,
    FaultKind.TRACK_REPUBLISHED: _FILES_STOP,
    FaultKind.BUFFER_REPLACED: START_LATENCY_SECONDS + 3.0,
}

RECORDS_ON = frozenset(
    kind
    for kind, bound in BOUND_SECONDS.items()
    if bound == _PART_THAT_RECORDS_NOTHING and kind is not FaultKind.WORKER_DRAINED
)
"""Kinds after which every recording goes on as it was: not one new run."""

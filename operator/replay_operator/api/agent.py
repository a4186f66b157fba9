"""The agent protocol: what operator and agent say to each other over HTTP (DESIGN §4).

`PUT /v1/policy`  body Policy, answer PolicyAck; 409 with a PolicyAck when a newer one is in force.
`PUT /v1/runs/<namespace>/<buffer uid>/<run>`  body RunFile; makes the run's directory and its `run.json`.
`POST /v1/clips/delete`  body ClipDeletion; 200 when the clip is gone, 409 when it is not this capture's.
`POST /v1/clips/drop`  the same for the clip alone: it is in object storage, and its sidecar and picture stay.
`GET /v1/coverage[?since=<mark>]`  answer Coverage, for all buffers at once; with the mark of an earlier
answer only what has changed since, unless the agent does not know that mark any more.
`GET /v1/volume`  answer AgentFacts (`api/volume_facts.py`): how its volumes are mounted and filled.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel
from replay_operator.api.replaycapture import Clock


class Pin(ApiModel):
    """A range of a buffer that retention must not delete, because a capture needs it."""

    capture_uid: str
    start: AwareDatetime
    end: AwareDatetime


class BufferPolicy(ApiModel):
    """What to keep of one buffer.

    `frozen_at` is when its source went: the window then ends there and no longer moves. After `expires_at`
    nothing is kept but pins. What began before `forget_before` goes at once, pinned or not: somebody wants it
    forgotten. Of a buffer with more than `max_bytes` the oldest unpinned segments go though they are inside
    the window: it writes far more than it said, and others need the room.
    """

    path: str
    window_seconds: Annotated[int, Field(ge=0)]
    slack_seconds: Annotated[int, Field(ge=0)]
    segment_seconds: Annotated[int, Field(ge=1)]
    frozen_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    forget_before: AwareDatetime | None = None
    max_bytes: Annotated[int, Field(gt=0)] | None = None
    pins: tuple[Pin, ...] = ()


class Policy(ApiModel):
    """The whole policy, for every buffer of the install.

    `epoch` grows with each new leader, `seq` with each policy of that leader; an older pair is refused.
    `complete` says that every buffer is named, so that a directory that is not may be an orphan.
    `live_captures` are the uids of the captures that may still write on the archive volume; None means that
    nobody says, and then no unfinished file is anybody's to remove.
    """

    epoch: int
    seq: int
    complete: bool
    buffers: tuple[BufferPolicy, ...] = ()
    live_captures: tuple[str, ...] | None = None


class PolicyAck(ApiModel):
    """Which policy is in force now."""

    epoch: int
    seq: int


_INT64 = 1 << 63
"""LiveKit's times are 64 bits wide; as nanoseconds all of them are times that there are."""


class RunFile(ApiModel):
    """`run.json` beside the segments of a run: what a reader needs to know without any API.

    `media_started_at_ns` is the run's own clock: capture time of PTS 3600 s (DESIGN §6.8). It is unknown
    until the egress is active.
    """

    room: str
    buffer: str
    segment_seconds: Annotated[int, Field(ge=1, le=86_400)]
    egress_id: str | None = None
    media_started_at_ns: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    video_track: str | None = None
    audio_track: str | None = None


class ClipDeletion(ApiModel):
    """A clip that nobody wants any more: `path` on the archive volume, and the capture that made it."""

    path: Annotated[str, Field(max_length=1024)]
    capture_uid: Annotated[str, Field(min_length=8, max_length=64)]


class Refused(ApiModel):
    """A sentence that says why something was not done; without one it was done."""

    error: str | None = None


class RunCoverage(ApiModel):
    """What lies on disk of one run. Only complete segments count (DESIGN §6.7).

    `segment_seconds` is what the run was asked to make; absent where nothing tells it.
    `clock_shift_milliseconds` is how much later than the run's first segments its newest ones come to the
    disk, measured against their media time; 0 while that cannot be told.
    """

    run: str
    segments: int
    first_index: int
    last_index: int
    oldest: AwareDatetime
    newest: AwareDatetime
    arrived_at: AwareDatetime
    ended: bool
    clock: Clock
    segment_seconds: int | None = None
    clock_shift_milliseconds: int = 0


class BufferCoverage(ApiModel):
    """What lies on disk of one buffer.

    `trimmed_since` is set while segments inside its window are deleted because the volume has less free space
    than its floor: when that began.
    """

    path: str
    bytes: int
    runs: tuple[RunCoverage, ...] = ()
    trimmed_since: AwareDatetime | None = None


class VolumeSpace(ApiModel):
    """How full the buffer volume is.

    `missing_bytes` lack to the floor though nothing more may go: what is left is pinned, or the newest of a
    live run. `full_in_seconds` is a straight line through the last ten minutes; None when it does not fill.
    """

    size_bytes: int
    free_bytes: int
    floor_bytes: int
    missing_bytes: int = 0
    full_in_seconds: int | None = None


class Coverage(ApiModel):
    """What lies on the buffer volume. `complete` is false until the first scan has seen everything.

    `mark` names this answer. `since` is the mark of the answer that this one goes on from: `buffers` are then
    those that have changed or come, each of them whole, and `gone` the paths of those that are no longer
    there. Without `since`, `buffers` are all there are.
    """

    as_of: AwareDatetime
    complete: bool
    epoch: int
    seq: int
    mark: str | None = None
    since: str | None = None
    buffers: tuple[BufferCoverage, ...] = ()
    gone: tuple[str, ...] = ()
    space: VolumeSpace | None = None

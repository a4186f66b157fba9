"""The ReplayCapture resource: a permanent MP4 cut from a buffer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AwareDatetime, ConfigDict, Field

from replay_operator.api.crd_pattern import explained
from replay_operator.api.meta import Condition, ObjectMeta
from replay_operator.api.model import ApiModel, cel, validations
from replay_operator.api.upload import Upload

CAPTURE_KIND = "ReplayCapture"
CAPTURE_PLURAL = "replaycaptures"

_LIST: dict[str, str | int | float | bool | list[str] | dict[str, str] | None] = {
    "x-kubernetes-list-type": "atomic"
}


class WhenShort(StrEnum):
    """What to do when the buffer does not reach as far back as asked."""

    CLAMP = "Clamp"
    FAIL = "Fail"


class Holes(StrEnum):
    """What to do where nothing was recorded."""

    KEEP = "Keep"
    CLOSE = "Close"
    FAIL = "Fail"


class Trim(StrEnum):
    """How exactly the clip begins."""

    EXACT = "Exact"
    SEGMENT = "Segment"


class Tail(StrEnum):
    """What to do about the newest instants, which are not on disk yet."""

    WAIT = "Wait"
    FLUSH = "Flush"
    SKIP = "Skip"


class DeletionPolicy(StrEnum):
    """What becomes of the clip when the resource goes."""

    RETAIN = "Retain"
    DELETE = "Delete"


# `format: date-time` alone lets through what the operator cannot read: any character before the fraction, a
# zone of 24 hours, the year 0. One such object would keep it from reading the list with all the others.
_MOMENT: dict[str, Any] = {
    "pattern": "^[0-9-]{10}[Tt][0-9:]{8}([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
    **validations(
        cel(
            "self >= timestamp('2000-01-01T00:00:00Z') && self < timestamp('2200-01-01T00:00:00Z')",
            "a time lies between the years 2000 and 2200, written as RFC 3339 with its zone",
        )
    ),
}


class BufferRef(ApiModel):
    """The buffer to cut from, in the same namespace."""

    name: Annotated[
        str,
        Field(
            max_length=253,
            pattern="^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
            description="Name of a ReplayBuffer.",
            json_schema_extra=explained(
                "bufferRef.name is the metadata.name of a ReplayBuffer in this namespace: "
                "lower-case letters, digits, '-' and '.'"
            ),
        ),
    ]


class LastRange(ApiModel):
    """The last seconds before a moment: what "save that" means."""

    seconds: Annotated[int, Field(ge=1, le=14400, description="How far back, in seconds.")]
    until: Annotated[
        AwareDatetime | None,
        Field(
            description="The moment, RFC 3339 with milliseconds. Absent: one second after creationTimestamp, "
            "which Kubernetes cuts to whole seconds.",
            json_schema_extra=_MOMENT,
        ),
    ] = None
    post_roll_seconds: Annotated[
        int, Field(ge=0, le=600, description="How long to go on after the moment, in seconds.")
    ] = 0


class BetweenRange(ApiModel):
    """A range between two instants, at most four hours long."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("self.start < self.end", "range.between.start must lie before range.between.end"),
            cel(
                "self.end - self.start <= duration('14400s')",
                "a capture is at most four hours long: cut the range in parts",
            ),
        )
    )

    start: Annotated[AwareDatetime, Field(description="First instant, RFC 3339.", json_schema_extra=_MOMENT)]
    end: Annotated[
        AwareDatetime,
        Field(description="Last instant, RFC 3339; may lie in the near future.", json_schema_extra=_MOMENT),
    ]


class Range(ApiModel):
    """Which part of the buffer: exactly one of last and between."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("has(self.last) != has(self.between)", "set exactly one of range.last and range.between")
        )
    )

    last: LastRange | None = None
    between: BetweenRange | None = None


class Output(ApiModel):
    """The clip's name and extras."""

    name: Annotated[
        str | None,
        Field(
            max_length=100,
            pattern="^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="File name without ending. Absent: the capture's name.",
            json_schema_extra=explained(
                "output.name is a file name without folders: letters, digits, '.', '-' and '_', "
                "with a letter or digit at both ends"
            ),
        ),
    ] = None
    title: Annotated[str | None, Field(max_length=200, description="Title written into the MP4.")] = None
    thumbnail: Annotated[bool, Field(description="Also write a picture of the first moment.")] = True


_IMMUTABLE = ("bufferRef", "range", "whenShort", "holes", "trim", "tail", "output")


class ReplayCaptureSpec(ApiModel):
    """Which part of which buffer, and how to cut it.

    Nothing but deletionPolicy and ttlSecondsAfterFinished may change.
    """

    model_config = ConfigDict(
        json_schema_extra=validations(
            *(
                cel(
                    f"has(self.{f}) == has(oldSelf.{f}) && (!has(self.{f}) || self.{f} == oldSelf.{f})",
                    f"{f} cannot change after creation: make another ReplayCapture",
                    fieldPath=f".{f}",
                )
                for f in _IMMUTABLE
            )
        )
    )

    buffer_ref: BufferRef
    range: Range
    when_short: Annotated[
        WhenShort, Field(description="Clamp takes what there is; Fail refuses a range that begins too early.")
    ] = WhenShort.CLAMP
    holes: Annotated[
        Holes,
        Field(description="Keep leaves unrecorded time on the timeline, Close cuts it out, Fail refuses."),
    ] = Holes.KEEP
    trim: Annotated[
        Trim,
        Field(
            description="Exact: the first frame shown is the first one at or after the asked instant "
            "(edit list; up to one segment before it stays hidden in the file). Segment: whole segments."
        ),
    ] = Trim.EXACT
    tail: Annotated[
        Tail,
        Field(
            description="The newest instants reach the disk up to 2 x segmentSeconds + 0.7 s late. "
            "Wait for them, Flush them at once by a change of run, or Skip them."
        ),
    ] = Tail.WAIT
    output: Output | None = None
    deletion_policy: Annotated[
        DeletionPolicy, Field(description="Retain keeps the clip when this object goes; Delete removes it.")
    ] = DeletionPolicy.RETAIN
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=31536000,
            description="Remove this object so many seconds after it finished; "
            "its clip stays unless deletionPolicy is Delete. An object that GitOps tracks is not removed.",
        ),
    ] = None


class CaptureSource(ApiModel):
    """Where the media comes from; kept so that a capture survives the deletion of its buffer."""

    buffer_uid: Annotated[str, Field(max_length=64, description="UID of the ReplayBuffer.")]
    path: Annotated[str, Field(max_length=512, description="Directory of the buffer on the buffer volume.")]
    owner: Annotated[
        str | None, Field(max_length=253, description="Owner of the buffer, as its spec named it then.")
    ] = None
    room: Annotated[str | None, Field(max_length=256, description="Room of the buffer.")] = None


class ResolvedRange(ApiModel):
    """The range in absolute time. Resolved once, then never changed."""

    start: Annotated[AwareDatetime, Field(description="First instant.")]
    end: Annotated[AwareDatetime, Field(description="Last instant.")]


class JobStatus(ApiModel):
    """The Job that cuts the clip."""

    name: Annotated[str, Field(max_length=253, description="Name of the Job.")]
    attempts: Annotated[int, Field(ge=0, description="How many Jobs were made so far.")]


class HoleReason(StrEnum):
    """Why a stretch of the range has no media."""

    NOT_RECORDED = "NotRecorded"
    SEGMENT_LOST = "SegmentLost"
    FORMAT_CHANGED = "FormatChanged"


class Hole(ApiModel):
    """A stretch of the asked range in which no track has media."""

    start: Annotated[AwareDatetime, Field(description="Where it begins.")]
    milliseconds: Annotated[int, Field(ge=0, description="How long it is.")]
    reason: Annotated[HoleReason, Field(description="Why nothing is there.")]


class Track(StrEnum):
    """The two tracks that a clip may have."""

    VIDEO = "video"
    AUDIO = "audio"


class Gap(ApiModel):
    """A stretch in which one track has no media: kept, as a held frame or silence."""

    track: Annotated[Track, Field(description="Which track.")]
    start: Annotated[AwareDatetime, Field(description="Where it begins.")]
    milliseconds: Annotated[int, Field(ge=0, description="How long it is.")]


class Clock(StrEnum):
    """Which clock gave the capture time of the media, best first (DESIGN §6.8)."""

    STARTED_AT = "StartedAt"
    ARRIVAL = "Arrival"
    MANIFEST = "Manifest"
    PROGRAM_DATE_TIME = "ProgramDateTime"


class Clip(ApiModel):
    """The finished MP4."""

    path: Annotated[str, Field(max_length=1024, description="Path of the MP4 on the archive volume.")]
    bytes: Annotated[int, Field(ge=0, description="Size of the MP4.")]
    milliseconds: Annotated[int, Field(ge=0, description="Length as a player shows it.")]
    start: Annotated[AwareDatetime, Field(description="Capture time of the first instant shown.")]
    end: Annotated[AwareDatetime, Field(description="Capture time of the last instant shown.")]
    segments: Annotated[int, Field(ge=0, description="How many segments it was made from.")]
    runs: Annotated[int, Field(ge=0, description="How many runs it was made from.")]
    clock: Annotated[Clock, Field(description="Which clock gave the capture time.")]
    holes: Annotated[
        tuple[Hole, ...],
        Field(max_length=64, description="Where nothing was recorded.", json_schema_extra=_LIST),
    ] = ()
    holes_omitted: Annotated[int, Field(ge=0, description="Further holes; all are in the sidecar file.")] = 0
    gaps: Annotated[
        tuple[Gap, ...], Field(max_length=64, description="Where one track pauses.", json_schema_extra=_LIST)
    ] = ()
    gaps_omitted: Annotated[int, Field(ge=0, description="Further gaps; all are in the sidecar file.")] = 0
    sha256: Annotated[
        str | None, Field(max_length=64, description="Digest of the MP4; may come after Ready.")
    ] = None
    thumbnail: Annotated[
        str | None, Field(max_length=1024, description="Path of the picture; may come after Ready.")
    ] = None
    url: Annotated[
        str | None,
        Field(
            max_length=1100,
            description="The clip in object storage, s3://bucket/key; comes when that is verified.",
        ),
    ] = None


class NotificationState(StrEnum):
    """How far the news of the outcome is on its way to the install's webhook."""

    PENDING = "Pending"
    DELIVERED = "Delivered"
    FAILED = "Failed"


class NewsOf(StrEnum):
    """What the install's webhook is told of."""

    OUTCOME = "Outcome"
    UPLOAD = "Upload"


class Notification(ApiModel):
    """The news of the outcome, then of the upload; present when the install has a webhook to tell it to."""

    news_of: Annotated[
        NewsOf,
        Field(description="Outcome: the clip is ready or has failed. Upload: object storage has the clip."),
    ] = NewsOf.OUTCOME
    state: Annotated[
        NotificationState,
        Field(description="Pending until the receiver has taken it; Failed after an hour of trying."),
    ]


class ReplayCaptureStatus(ApiModel):
    """What became of the capture."""

    observed_generation: Annotated[
        int, Field(ge=0, description="Generation of the spec that was acted on.")
    ] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Ready, Reconciling, Stalled (kstatus). "
            "Ready=True: the clip is complete and verified. "
            "TTLExpired: the time to delete this object has come, and something holds it. "
            "Uploaded: whether object storage has the clip, where the install has a bucket.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    source: CaptureSource | None = None
    range: ResolvedRange | None = None
    job: JobStatus | None = None
    expected_ready_time: Annotated[
        AwareDatetime | None, Field(description="When the clip should be ready.")
    ] = None
    clip: Clip | None = None
    notification: Notification | None = None
    upload: Upload | None = None


class ReplayCapture(ApiModel):
    """A permanent MP4 cut from a ReplayBuffer."""

    metadata: ObjectMeta
    spec: ReplayCaptureSpec
    status: ReplayCaptureStatus = ReplayCaptureStatus()

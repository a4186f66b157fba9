"""The ReplayBuffer resource: a rolling window over one participant's recording."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, ConfigDict, Field

from replay_operator.api.crd_pattern import explained
from replay_operator.api.meta import Condition, ObjectMeta
from replay_operator.api.model import ApiModel, cel, validations

BUFFER_KIND = "ReplayBuffer"
BUFFER_PLURAL = "replaybuffers"

MAX_SEGMENTS = 4000
"""A window holds at most this many files, so that one capture can open all of them (DESIGN §3)."""

OWNER_LENGTH = 63
OWNER_PATTERN = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
"""An owner names a label's value and a folder."""

TrackId = Annotated[
    str,
    Field(
        max_length=64,
        pattern="^TR_[A-Za-z0-9_-]+$",
        json_schema_extra=explained(
            "a LiveKit track id begins with TR_, such as TR_VCxxxx; to record by name of the source, "
            "use source.participant"
        ),
    ),
]


class VideoSource(StrEnum):
    """Which of a participant's video tracks."""

    CAMERA = "Camera"
    SCREEN_SHARE = "ScreenShare"


class AudioSource(StrEnum):
    """Which of a participant's audio tracks."""

    MICROPHONE = "Microphone"
    SCREEN_SHARE_AUDIO = "ScreenShareAudio"


class EncodingPreset(StrEnum):
    """LiveKit's presets for landscape and portrait pictures (EncodingOptionsPreset)."""

    H264_720P_30 = "H264_720P_30"
    H264_720P_60 = "H264_720P_60"
    H264_1080P_30 = "H264_1080P_30"
    H264_1080P_60 = "H264_1080P_60"
    PORTRAIT_H264_720P_30 = "PORTRAIT_H264_720P_30"
    PORTRAIT_H264_720P_60 = "PORTRAIT_H264_720P_60"
    PORTRAIT_H264_1080P_30 = "PORTRAIT_H264_1080P_30"
    PORTRAIT_H264_1080P_60 = "PORTRAIT_H264_1080P_60"


class ParticipantSource(ApiModel):
    """Tracks by who publishes them and what they show. A track that is published again is followed."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("has(self.video) || has(self.audio)", "name at least one of video and audio to record")
        )
    )

    identity: Annotated[str, Field(min_length=1, max_length=256, description="Identity of the participant.")]
    video: Annotated[VideoSource | None, Field(description="Video track to record; absent: sound only.")] = (
        None
    )
    audio: Annotated[
        AudioSource | None,
        Field(
            description="Audio track to record; absent: no sound. Track Composite takes one audio track of "
            "this participant: other people's voices are not in it."
        ),
    ] = None


class TrackSource(ApiModel):
    """Tracks by id; at least one. The recording ends for good when they are gone."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("has(self.video) || has(self.audio)", "name at least one of the track ids video and audio")
        )
    )

    video: Annotated[TrackId | None, Field(description="Id of a video track, such as TR_VCxxxx.")] = None
    audio: Annotated[TrackId | None, Field(description="Id of an audio track, such as TR_AMxxxx.")] = None


class Source(ApiModel):
    """What to record: exactly one of participant and tracks."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.participant) != has(self.tracks)",
                "set exactly one of source.participant (followed over re-publish) "
                "and source.tracks (fixed ids)",
            )
        )
    )

    participant: ParticipantSource | None = None
    tracks: TrackSource | None = None


class AdvancedEncoding(ApiModel):
    """Own picture size, frame rate and bit rates: LiveKit's EncodingOptions, as far as segments use them."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.width % 2 == 0 && self.height % 2 == 0",
                "width and height must be even numbers of pixels",
            )
        )
    )

    width: Annotated[int, Field(ge=16, le=3840, description="Width in pixels, even.")] = 1280
    height: Annotated[int, Field(ge=16, le=3840, description="Height in pixels, even.")] = 720
    framerate: Annotated[int, Field(ge=1, le=60, description="Frames a second.")] = 30
    video_kbps: Annotated[int, Field(ge=50, le=50000, description="Video bit rate in kbit/s.")] = 3000
    audio_kbps: Annotated[int, Field(ge=16, le=512, description="AAC bit rate in kbit/s.")] = 128


class Encoding(ApiModel):
    """How egress encodes the recording: exactly one of preset and advanced. Absent: preset H264_720P_30."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.preset) != has(self.advanced)",
                "set exactly one of encoding.preset and encoding.advanced",
            )
        )
    )

    preset: Annotated[
        EncodingPreset | None,
        Field(description="Picture size and frame rate by LiveKit's EncodingOptionsPreset."),
    ] = None
    advanced: AdvancedEncoding | None = None


class ReplayBufferSpec(ApiModel):
    """What shall be kept, and for how long."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.segmentSeconds) || self.windowSeconds >= 3 * self.segmentSeconds",
                "windowSeconds must hold at least three segments: "
                "raise windowSeconds or lower segmentSeconds",
            ),
            cel(
                f"!has(self.segmentSeconds) || self.windowSeconds <= {MAX_SEGMENTS} * self.segmentSeconds",
                f"a window holds at most {MAX_SEGMENTS} segments: "
                "raise segmentSeconds or lower windowSeconds",
            ),
        )
    )

    room: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="Name of the LiveKit room. It cannot change.",
            json_schema_extra=validations(
                cel("self == oldSelf", "room cannot change: make another ReplayBuffer for another room")
            ),
        ),
    ]
    owner: Annotated[
        str | None,
        Field(
            max_length=OWNER_LENGTH,
            pattern=OWNER_PATTERN,
            description="Who the recording counts for: quota, catalogue and folder of its clips.",
            json_schema_extra=explained(
                "owner holds letters, digits, '.', '-' and '_', and begins and ends with a letter or digit, "
                "because it names a label and a folder"
            ),
        ),
    ] = None
    source: Source
    window_seconds: Annotated[
        int,
        Field(
            ge=30,
            le=14400,
            description="How far back the buffer reaches, in seconds. It holds at least three segments "
            f"and at most {MAX_SEGMENTS}.",
        ),
    ] = 600
    segment_seconds: Annotated[
        int | None,
        Field(
            ge=2,
            le=15,
            description="Length of one segment in seconds. Short: the newest instant is on disk sooner, "
            "at most 2 x segmentSeconds + 0.7 s after it happened. Long: fewer files. "
            "Absent: the operator's setting.",
        ),
    ] = None
    encoding: Encoding = Encoding(preset=EncodingPreset.H264_720P_30)
    keep_after_end_seconds: Annotated[
        int,
        Field(
            ge=0, le=86400, description="How long the window can still be captured after its source has gone."
        ),
    ] = 600
    suspend: Annotated[
        bool, Field(description="True stops recording and keeps what is there for keepAfterEndSeconds.")
    ] = False


class EgressStatusRef(ApiModel):
    """The egress that records now."""

    id: Annotated[str, Field(max_length=64, description="LiveKit egress id.")]
    run: Annotated[str, Field(max_length=64, description="Directory of its output below the buffer.")]
    started_at: Annotated[AwareDatetime | None, Field(description="Capture time of its first frame.")] = None
    worker: Annotated[str | None, Field(max_length=253, description="Fleet pod that records.")] = None


class RecordedTracks(ApiModel):
    """The LiveKit tracks that are recorded now."""

    video: Annotated[str | None, Field(max_length=64, description="Id of the video track.")] = None
    audio: Annotated[str | None, Field(max_length=64, description="Id of the audio track.")] = None


class WindowStatus(ApiModel):
    """How much can be captured. Moving figures: the agent's metrics."""

    seconds: Annotated[int, Field(ge=0, description="Length of the window, written at 25, 50, 75 and 100 %.")]
    start: Annotated[AwareDatetime | None, Field(description="Oldest instant; written once, at the end.")] = (
        None
    )
    end: Annotated[AwareDatetime | None, Field(description="Newest instant; written once, at the end.")] = (
        None
    )


class StorageStatus(ApiModel):
    """Where the segments lie."""

    claim_name: Annotated[
        str, Field(max_length=253, description="The buffer volume's PersistentVolumeClaim.")
    ]
    path: Annotated[str, Field(max_length=512, description="Directory of the buffer on that volume.")]


class ReplayBufferStatus(ApiModel):
    """What the operator has seen."""

    observed_generation: Annotated[
        int, Field(ge=0, description="Generation of the spec that was acted on.")
    ] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            description="Ready, Reconciling, Stalled (kstatus), and Recording.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    egress: EgressStatusRef | None = None
    tracks: RecordedTracks | None = None
    window: WindowStatus | None = None
    segment_seconds: Annotated[
        int | None, Field(description="Length of one segment in seconds, as it is in force.")
    ] = None
    storage: StorageStatus | None = None


class ReplayBuffer(ApiModel):
    """A rolling window over one participant's recording in a LiveKit room."""

    metadata: ObjectMeta
    spec: ReplayBufferSpec
    status: ReplayBufferStatus = ReplayBufferStatus()

"""`kubectl explain` answers what an author asks, without the documentation at hand."""

import pytest

from tests.testbed.controlplane import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("replaybuffer", "A rolling window over one participant's recording in a LiveKit room."),
        ("rb.spec.room", "Name of the LiveKit room. It cannot change."),
        ("replaybuffer.spec.source", "What to record: exactly one of participant and tracks."),
        (
            "replaybuffer.spec.source.participant",
            "Tracks by who publishes them and what they show. A track that is published again is followed.",
        ),
        ("replaybuffer.spec.source.participant", "enum: Camera, ScreenShare"),
        ("replaybuffer.spec.source.participant.audio", "other people's voices are not in it."),
        ("replaybuffer.spec.source.tracks", "The recording ends for good when they are gone."),
        (
            "replaybuffer.spec.windowSeconds",
            "It holds at least three segments and at most 4000. From 30 to 14400. Default: 600.",
        ),
        ("replaybuffer.spec.segmentSeconds", "Absent: the operator's setting. From 2 to 15."),
        ("replaybuffer.spec.encoding", "exactly one of preset and advanced. Absent: preset H264_720P_30."),
        ("replaybuffer.spec.encoding.advanced.videoKbps", "Video bit rate in kbit/s. From 50 to 50000."),
        ("replaybuffer.status.conditions", "Ready, Reconciling, Stalled (kstatus), and Recording."),
        ("replaycapture", "A permanent MP4 cut from a ReplayBuffer."),
        ("rcap.spec", "Nothing but deletionPolicy and ttlSecondsAfterFinished may change."),
        ("replaycapture.spec.range", "Which part of the buffer: exactly one of last and between."),
        ("replaycapture.spec.range.last.until", "RFC 3339 with milliseconds."),
        ("replaycapture.spec.range.between", "A range between two instants, at most four hours long."),
        ("replaycapture.spec.trim", "Segment: whole segments. Default: Exact."),
        ("replaycapture.spec.tail", "Flush them at once by a change of run, or Skip them. Default: Wait."),
        ("replaycapture.spec.output.name", "File name without ending. Absent: the capture's name."),
        ("replaycapture.status.clip.sha256", "Digest of the MP4; may come after Ready."),
    ],
)
def test_explains(control_plane: ControlPlane, crds: None, field: str, sentence: str) -> None:
    assert sentence in " ".join(control_plane.kubectl("explain", field).split())

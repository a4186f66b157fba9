"""What the catalogue keeps of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import DeletionPolicy, ReplayCapture
from replay_operator.catalogue.entries import (
    DELETED,
    ClipEntry,
    clip_entry,
    closed,
    session_entry,
    without_resource,
)
from replay_operator.catalogue.tables import ClipStatus, FileKind, SessionStatus
from replay_operator.domain.status_contract import BufferState, CaptureState
from tests.builders import BUFFER_UID, NOW, at, buffer_body, capture_body, rfc3339


def conditions(reason: str, ready: bool, *, stalled: bool = False) -> list[dict[str, Any]]:
    def condition(type_: str, status: str) -> dict[str, Any]:
        return {
            "type": type_,
            "status": status,
            "observedGeneration": 1,
            "lastTransitionTime": rfc3339(at(30)),
            "reason": reason,
            "message": "m",
        }

    return [condition("Ready", str(ready))] + ([condition("Stalled", "True")] if stalled else [])


def buffer(state: BufferState, **status: Any) -> ReplayBuffer:
    return ReplayBuffer.model_validate(
        buffer_body(owner="user-42") | {"status": {"conditions": conditions(state, ready=True)} | status}
    )


CLIP = {
    "path": "team/user-42/2026-11-23/goal-cafecafe.mp4",
    "bytes": 4_500_000,
    "milliseconds": 60_000,
    "start": rfc3339(at(-60)),
    "end": rfc3339(NOW),
    "segments": 10,
    "runs": 1,
    "clock": "StartedAt",
    "sha256": "ab",
}
SOURCE = {"bufferUid": BUFFER_UID, "path": f"team/{BUFFER_UID}", "owner": "user-42", "room": "standup"}


def capture(*, policy: DeletionPolicy = DeletionPolicy.RETAIN, **status: Any) -> ReplayCapture:
    return ReplayCapture.model_validate(
        capture_body(deletionPolicy=policy, output={"title": "Go\0al"})
        | {"status": {"source": SOURCE} | status}
    )


def ready(policy: DeletionPolicy = DeletionPolicy.RETAIN, **clip: Any) -> ClipEntry:
    done = conditions(CaptureState.READY, ready=True)
    return clip_entry(capture(policy=policy, conditions=done, clip=CLIP | clip), reserved_bytes=9_000_000)


@pytest.mark.parametrize("state", BufferState)
def test_each_state_of_a_buffer_is_active_paused_or_ended(state: BufferState) -> None:
    paused = {BufferState.SOURCE_GONE, BufferState.SUSPENDED, BufferState.REFUSED}
    ended = {BufferState.ENDED, BufferState.TRACK_NOT_FOUND}
    session = session_entry(buffer(state)).session
    assert (session.status is SessionStatus.PAUSED) is (state in paused)
    assert (session.status is SessionStatus.ENDED) is (state in ended)
    assert (session.ended_at is not None) is (state in ended)
    assert session.reason == state.value


def test_a_buffer_without_a_status_is_a_session_already() -> None:
    session = session_entry(ReplayBuffer.model_validate(buffer_body())).session
    assert (session.status, session.reason, session.participant) == (SessionStatus.ACTIVE, "Unseen", "alice")
    assert session.egress_id is None


def test_fixed_tracks_have_no_participant() -> None:
    body = buffer_body(source={"tracks": {"video": "TR_VC1"}})
    assert session_entry(ReplayBuffer.model_validate(body)).session.participant is None


def test_a_session_that_records_says_by_which_egress_and_since_when() -> None:
    egress = {"id": "EG_1", "run": "r1", "startedAt": rfc3339(at(-5))}
    session = session_entry(
        buffer(BufferState.RECORDING, egress=egress, tracks={"video": "TR_VC1", "audio": "TR_AM1"})
    ).session
    assert (session.egress_id, session.recording_since) == ("EG_1", at(-5))
    assert (session.video_track, session.audio_track) == ("TR_VC1", "TR_AM1")


def test_a_session_ends_with_its_newest_instant() -> None:
    window = {"seconds": 60, "start": rfc3339(at(-40)), "end": rfc3339(at(20))}
    assert session_entry(buffer(BufferState.ENDED, window=window)).session.ended_at == at(20)


def test_a_session_that_never_recorded_ends_when_its_status_said_so() -> None:
    assert session_entry(buffer(BufferState.TRACK_NOT_FOUND)).session.ended_at == at(30)


def test_a_deleted_buffer_closes_its_session() -> None:
    egress = {"id": "EG_1", "run": "r1", "startedAt": rfc3339(NOW)}
    session = closed(session_entry(buffer(BufferState.RECORDING, egress=egress)), at(99)).session
    assert (session.status, session.reason, session.ended_at) == (SessionStatus.ENDED, DELETED, at(99))
    assert (session.egress_id, session.recording_since) == (None, None)


def test_a_session_that_had_ended_keeps_its_end_when_its_buffer_is_deleted() -> None:
    entry = session_entry(buffer(BufferState.ENDED))
    assert closed(entry, at(99)) == entry


def test_a_capture_that_is_being_made_holds_what_was_reserved() -> None:
    clip = clip_entry(capture(), reserved_bytes=9_000_000).clip
    assert (clip.status, clip.quota_bytes, clip.finished_at) == (ClipStatus.PENDING, 9_000_000, None)
    assert (clip.owner, clip.room, clip.buffer_uid) == ("user-42", "standup", BUFFER_UID)


def test_a_ready_clip_holds_its_bytes_and_lists_its_files() -> None:
    entry = ready(thumbnail="team/user-42/2026-11-23/goal-cafecafe.jpg")
    assert (entry.clip.status, entry.clip.quota_bytes) == (ClipStatus.READY, 4_500_000)
    assert (entry.clip.clip_start, entry.clip.milliseconds) == (at(-60), 60_000)
    assert entry.clip.finished_at == at(30)
    assert [(file.kind, file.bytes, file.sha256) for file in entry.files] == [
        (FileKind.VIDEO, 4_500_000, "ab"),
        (FileKind.THUMBNAIL, None, None),
    ]


def test_the_picture_may_come_later() -> None:
    assert [file.kind for file in ready().files] == [FileKind.VIDEO]


def test_a_capture_that_failed_holds_nothing_and_says_why() -> None:
    failed = capture(conditions=conditions("BufferNotFound", ready=False, stalled=True))
    entry = clip_entry(failed, reserved_bytes=9_000_000)
    assert (entry.clip.status, entry.clip.reason) == (ClipStatus.FAILED, "BufferNotFound")
    assert (entry.clip.quota_bytes, entry.files) == (0, ())


def test_a_title_is_kept_without_the_character_that_postgres_refuses() -> None:
    assert ready().clip.title == "Goal"


def test_a_clip_outlives_its_capture() -> None:
    assert without_resource(ready(), at(99)) == ready()


def test_a_clip_that_goes_with_its_capture_frees_the_quota() -> None:
    entry = without_resource(ready(DeletionPolicy.DELETE), at(99))
    assert (entry.clip.status, entry.clip.quota_bytes, entry.files) == (ClipStatus.DELETED, 0, ())
    assert entry.clip.milliseconds == 60_000


def test_a_capture_that_is_deleted_before_it_was_ready_gives_its_reservation_back() -> None:
    entry = without_resource(clip_entry(capture(), reserved_bytes=9_000_000), at(99))
    assert (entry.clip.status, entry.clip.reason) == (ClipStatus.FAILED, DELETED)
    assert (entry.clip.quota_bytes, entry.clip.finished_at) == (0, at(99))


@pytest.mark.parametrize("make", [ready, lambda: session_entry(buffer(BufferState.RECORDING))])
def test_the_same_resource_gives_the_same_entry(make: Any) -> None:
    assert make() == make()

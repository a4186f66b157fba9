"""Whose clip is uploaded next."""

from __future__ import annotations

from typing import Any

from replay_operator.api.meta import ConditionStatus, set_condition
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.api.upload import Upload, UploadState
from replay_operator.domain.upload_line import due_uploads, waiting_since
from replay_operator.domain.uploads import UPLOADED
from tests.builders import at, capture

NONE = frozenset[str]()


def waiting(uid: str, since: float, state: UploadState = UploadState.PENDING, **upload: Any) -> ReplayCapture:
    plain = capture()
    done = ConditionStatus.TRUE if state is UploadState.VERIFIED else ConditionStatus.FALSE
    conditions = set_condition((), UPLOADED, done, reason="R", message="m", generation=1, now=at(since))
    status = plain.status.model_copy(
        update={"conditions": conditions, "upload": Upload(state=state, **upload)}
    )
    meta = plain.metadata.model_copy(update={"uid": uid})
    return plain.model_copy(update={"metadata": meta, "status": status})


def test_the_one_that_has_been_due_longest_comes_first() -> None:
    retried = waiting("retried", 0, UploadState.RETRYING, attempts=1, next_attempt_time=at(50))
    known = (waiting("later", 20), retried, waiting("first", 10))
    assert due_uploads(known, at(60), running=NONE) == ("first", "later", "retried")


def test_who_is_in_a_pause_or_has_a_job_or_is_done_is_not_in_the_line() -> None:
    pausing = waiting("pausing", 0, UploadState.RETRYING, attempts=1, next_attempt_time=at(61))
    done, given_up = waiting("a", 0, UploadState.VERIFIED), waiting("b", 0, UploadState.FAILED)
    gone = waiting("gone", 0)
    gone = gone.model_copy(
        update={"metadata": gone.metadata.model_copy(update={"deletion_timestamp": at(1)})}
    )
    known = (pausing, done, given_up, gone, capture(), waiting("running", 0))
    assert due_uploads(known, at(60), running=frozenset({"running"})) == ()


def test_a_clip_waits_from_the_moment_that_its_upload_was_due_through_all_failures() -> None:
    assert waiting_since(waiting("a", 5, UploadState.RETRYING, attempts=9)) == at(5)
    assert waiting_since(waiting("a", 5, UploadState.VERIFIED)) is None
    assert waiting_since(waiting("a", 5, UploadState.FAILED)) is None
    assert waiting_since(capture()) is None

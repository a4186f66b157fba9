"""What is left to do for a capture that has finished or is being deleted."""

from __future__ import annotations

from typing import Any

import pytest

from replay_operator.api.meta import find_condition
from replay_operator.api.replaycapture import (
    CaptureSource,
    Notification,
    NotificationState,
    ReplayCapture,
    ResolvedRange,
)
from replay_operator.cluster.status import status_patch
from replay_operator.domain.capture_end import (
    FINALIZER,
    AfterFinish,
    clip_path_of,
    decide_finished,
    gitops_mark,
    is_held,
    wanted_finalizers,
)
from replay_operator.domain.capture_state import finished_at
from replay_operator.domain.policy import pins_of
from replay_operator.domain.status_contract import (
    CAPTURE_CONTRACT,
    CaptureState,
    KStatus,
    conditions_of,
    kstatus,
)
from tests.builders import BUFFER_UID, NOW, at, capture


def with_meta(found: ReplayCapture, **meta: Any) -> ReplayCapture:
    return found.model_copy(update={"metadata": found.metadata.model_copy(update=meta)})


def finished(state: CaptureState = CaptureState.READY, **spec: Any) -> ReplayCapture:
    plain = capture(**spec)
    conditions = conditions_of((), CAPTURE_CONTRACT[state], reason="R", message="m", generation=1, now=at(10))
    status = plain.status.model_copy(update={"conditions": conditions, "observed_generation": 1})
    return plain.model_copy(update={"status": status})


@pytest.mark.parametrize("state", [CaptureState.READY, CaptureState.FAILED])
def test_a_finished_capture_expires_so_many_seconds_after_its_end(state: CaptureState) -> None:
    done = finished(state, ttlSecondsAfterFinished=60)
    assert finished_at(done) == at(10)
    early = decide_finished(done, at(69), notifies=False, upload_waits=False)
    assert (early.act, early.recheck) == (AfterFinish.KEEP, at(70))
    assert decide_finished(done, at(70), notifies=False, upload_waits=False).act is AfterFinish.DELETE


def test_without_a_ttl_it_stays() -> None:
    decision = decide_finished(finished(), at(10**8), notifies=False, upload_waits=False)
    assert (decision.act, decision.recheck) == (AfterFinish.KEEP, None)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("annotations", "argocd.argoproj.io/tracking-id"),
        ("labels", "argocd.argoproj.io/instance"),
        ("labels", "app.kubernetes.io/instance"),
        ("labels", "kustomize.toolkit.fluxcd.io/name"),
        ("labels", "helm.toolkit.fluxcd.io/name"),
    ],
)
def test_what_gitops_tracks_is_held_and_the_status_says_by_which_mark(place: str, name: str) -> None:
    done = with_meta(finished(ttlSecondsAfterFinished=0), **{place: {name: "x"}})
    decision = decide_finished(done, at(20), notifies=False, upload_waits=False)
    assert decision.act is AfterFinish.HOLD
    held = find_condition(decision.status.conditions, "TTLExpired")
    assert held is not None
    assert (held.reason, held.status.value) == ("TTLHeld", "True")
    assert name in held.message
    after = done.model_copy(update={"status": decision.status})
    assert is_held(after)
    assert not is_held(done)
    again = decide_finished(after, at(9000), notifies=False, upload_waits=False)
    assert status_patch("1", after.status, again.status) is None, "it is written once"
    assert kstatus(1, 1, after.status.conditions) is KStatus.CURRENT


def test_a_mark_that_means_nothing_holds_nothing() -> None:
    done = with_meta(finished(), labels={"app.kubernetes.io/name": "x"}, annotations={"note": "y"})
    assert gitops_mark(done.metadata) is None


@pytest.mark.parametrize("released_by", ["mark removed", "ttl removed", "ttl later"])
def test_a_hold_ends_with_its_cause(released_by: str) -> None:
    tracked = with_meta(finished(ttlSecondsAfterFinished=0), labels={"helm.toolkit.fluxcd.io/name": "x"})
    held = tracked.model_copy(
        update={"status": decide_finished(tracked, at(20), notifies=False, upload_waits=False).status}
    )
    if released_by == "mark removed":
        assert (
            decide_finished(with_meta(held, labels={}), at(21), notifies=False, upload_waits=False).act
            is AfterFinish.DELETE
        )
        return
    ttl = None if released_by == "ttl removed" else 9000
    later = held.model_copy(update={"spec": held.spec.model_copy(update={"ttl_seconds_after_finished": ttl})})
    decision = decide_finished(later, at(21), notifies=False, upload_waits=False)
    assert decision.act is AfterFinish.KEEP
    assert find_condition(decision.status.conditions, "TTLExpired") is None


def test_a_capture_does_not_expire_while_its_clip_has_to_go_to_the_bucket() -> None:
    done = finished(ttlSecondsAfterFinished=0)
    assert decide_finished(done, at(20), notifies=False, upload_waits=True).act is AfterFinish.KEEP
    assert decide_finished(done, at(20), notifies=False, upload_waits=False).act is AfterFinish.DELETE


def test_a_capture_whose_outcome_is_not_told_yet_does_not_expire() -> None:
    done = finished(ttlSecondsAfterFinished=0)
    news = Notification(state=NotificationState.PENDING)
    untold = done.model_copy(update={"status": done.status.model_copy(update={"notification": news})})
    assert decide_finished(untold, at(20), notifies=True, upload_waits=False).act is AfterFinish.KEEP
    assert decide_finished(untold, at(20), notifies=False, upload_waits=False).act is AfterFinish.DELETE, (
        "nobody tells any more"
    )


def test_a_policy_that_changes_after_the_end_is_observed_for_kstatus() -> None:
    changed = with_meta(finished(), generation=2)
    assert kstatus(2, changed.status.observed_generation, changed.status.conditions) is KStatus.IN_PROGRESS
    status = decide_finished(changed, at(20), notifies=False, upload_waits=False).status
    assert kstatus(2, status.observed_generation, status.conditions) is KStatus.CURRENT
    assert {c.observed_generation for c in status.conditions} == {2}
    assert [c.last_transition_time for c in status.conditions] == [at(10)]


def test_only_a_capture_whose_clip_goes_with_it_carries_our_finalizer() -> None:
    assert wanted_finalizers(capture()) == ()
    assert wanted_finalizers(capture(deletionPolicy="Delete")) == (FINALIZER,)
    others = with_meta(capture(deletionPolicy="Delete"), finalizers=("foregroundDeletion", FINALIZER))
    assert wanted_finalizers(others) == ("foregroundDeletion", FINALIZER)
    kept = with_meta(capture(), finalizers=(FINALIZER, "foregroundDeletion"))
    assert wanted_finalizers(kept) == ("foregroundDeletion",)


def test_the_place_of_the_clip_is_known_from_the_range_on_and_never_changes() -> None:
    plain = capture(output={"name": "goal"})
    assert clip_path_of(plain) is None
    status = plain.status.model_copy(
        update={
            "source": CaptureSource(buffer_uid=BUFFER_UID, path=f"team/{BUFFER_UID}", owner="user 42"),
            "range": ResolvedRange(start=at(-60), end=NOW),
        }
    )
    resolved = plain.model_copy(update={"status": status})
    assert clip_path_of(resolved) == "team/user-42/2026-11-23/goal-cafecafe.mp4"


def test_a_capture_that_is_being_deleted_pins_nothing() -> None:
    plain = capture()
    status = plain.status.model_copy(
        update={
            "source": CaptureSource(buffer_uid=BUFFER_UID, path=f"team/{BUFFER_UID}"),
            "range": ResolvedRange(start=at(-60), end=NOW),
        }
    )
    pinned = plain.model_copy(update={"status": status})
    assert pins_of([pinned])
    assert not pins_of([with_meta(pinned, deletion_timestamp=NOW)])

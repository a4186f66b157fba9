"""What is left to do for a capture that has finished, or is being deleted. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from replay_operator.api.meta import (
    Condition,
    ConditionStatus,
    ObjectMeta,
    drop_condition,
    find_condition,
    set_condition,
)
from replay_operator.api.model import GROUP
from replay_operator.api.replaycapture import (
    DeletionPolicy,
    NotificationState,
    Output,
    ReplayCapture,
    ReplayCaptureStatus,
)
from replay_operator.domain.capture_state import finished_at
from replay_operator.domain.layout import clip_path

FINALIZER = f"{GROUP}/clip"
"""On captures with `deletionPolicy: Delete` and on no others."""

TTL_EXPIRED = "TTLExpired"
TTL_HELD = "TTLHeld"

_GITOPS_ANNOTATIONS = ("argocd.argoproj.io/tracking-id",)
_GITOPS_LABELS = (
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)
"""Argo CD marks what it tracks by that annotation, or by an `instance` label (its default before 3.0). Helm
charts set `app.kubernetes.io/instance` too: deleting a chart's object makes drift as well."""


class AfterFinish(StrEnum):
    """What to do with a finished capture."""

    KEEP = "Keep"
    HOLD = "Hold"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True)
class FinishedDecision:
    """What to do, the status to write, and when to look again."""

    act: AfterFinish
    status: ReplayCaptureStatus
    recheck: datetime | None = None
    message: str = ""


def wanted_finalizers(capture: ReplayCapture) -> tuple[str, ...]:
    """Give the finalizers that the capture should carry: ours for Delete, others as they are."""
    others = tuple(name for name in capture.metadata.finalizers if name != FINALIZER)
    return (*others, FINALIZER) if capture.spec.deletion_policy is DeletionPolicy.DELETE else others


def clip_path_of(capture: ReplayCapture) -> str | None:
    """Give where the clip lies or would lie on the archive volume; None before the range is resolved.

    It follows from what never changes, so that every attempt and the deletion name the same file.
    """
    source, wanted = capture.status.source, capture.status.range
    if capture.status.clip is not None:
        return capture.status.clip.path
    if source is None or wanted is None:
        return None
    meta = capture.metadata
    return clip_path(
        namespace=meta.namespace,
        owner=source.owner,
        day=wanted.start,
        name=(capture.spec.output or Output()).name or meta.name,
        uid=meta.uid,
    )


def gitops_mark(meta: ObjectMeta) -> str | None:
    """Name the annotation or label by which Argo CD, Flux or Helm tracks an object, or give None."""
    marks = [name for name in _GITOPS_ANNOTATIONS if name in meta.annotations]
    marks += [name for name in _GITOPS_LABELS if name in meta.labels]
    return marks[0] if marks else None


def decide_finished(
    capture: ReplayCapture, now: datetime, *, notifies: bool, upload_waits: bool
) -> FinishedDecision:
    """Decide what to do with a finished capture.

    Args:
        capture: Finished.
        now: Time of the decision.
        notifies: Whether the install tells outcomes; an object that has not been told yet stays.
        upload_waits: Whether something is left to do for the clip's way to a bucket; until then it stays.
    """
    status = _observed(capture)
    ended, ttl_seconds = finished_at(capture), capture.spec.ttl_seconds_after_finished
    if ended is None or ttl_seconds is None:
        return FinishedDecision(AfterFinish.KEEP, _not_held(status))
    expires_at = ended + timedelta(seconds=ttl_seconds)
    if now < expires_at:
        return FinishedDecision(AfterFinish.KEEP, _not_held(status), recheck=expires_at)
    if upload_waits or (notifies and has_untold_news(capture)):
        return FinishedDecision(AfterFinish.KEEP, status)  # its end wakes us
    mark = gitops_mark(capture.metadata)
    if mark is None:
        return FinishedDecision(AfterFinish.DELETE, status)
    message = (
        f"ttlSecondsAfterFinished is over, but {mark} says that a tool keeps this object in line with its "
        "source: it would be made again, and cut again. Remove it there."
    )
    held = set_condition(
        status.conditions,
        TTL_EXPIRED,
        ConditionStatus.TRUE,
        reason=TTL_HELD,
        message=message,
        generation=capture.metadata.generation,
        now=now,
    )
    return FinishedDecision(AfterFinish.HOLD, status.model_copy(update={"conditions": held}), message=message)


def has_untold_news(capture: ReplayCapture) -> bool:
    """Tell whether the outcome still has to be told to the install's webhook."""
    news = capture.status.notification
    return news is not None and news.state is NotificationState.PENDING


def is_held(capture: ReplayCapture) -> bool:
    """Tell whether the status says already that GitOps keeps the object from expiring."""
    return find_condition(capture.status.conditions, TTL_EXPIRED) is not None


def _not_held(status: ReplayCaptureStatus) -> ReplayCaptureStatus:
    return status.model_copy(update={"conditions": drop_condition(status.conditions, TTL_EXPIRED)})


def _observed(capture: ReplayCapture) -> ReplayCaptureStatus:
    """Take note of a spec that has changed since: kstatus says InProgress until somebody does."""
    generation = capture.metadata.generation
    conditions: tuple[Condition, ...] = tuple(
        c.model_copy(update={"observed_generation": generation}) for c in capture.status.conditions
    )
    return capture.status.model_copy(update={"observed_generation": generation, "conditions": conditions})

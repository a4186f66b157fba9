"""Jobs as the watch tells them, and what the pods of captures have told before they ended."""

from __future__ import annotations

from typing import Any

from replay_operator.api.capture_job import CaptureResult
from replay_operator.cluster.jobs import CAPTURE_UID_LABEL, JobPhase, job_phase, termination_result
from replay_operator.cluster.upload_jobs import UPLOAD_ATTEMPT_LABEL

Json = dict[str, Any]


_KEPT_LABELS = (CAPTURE_UID_LABEL, UPLOAD_ATTEMPT_LABEL)


class JobStore:
    """The newest known version of each Job of one purpose, by name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Json] = {}
        self._come: set[str] = set()  # since the last complete list
        self._clips: dict[str, CaptureResult] = {}  # by capture

    def get(self, name: str) -> Json | None:
        """Give a Job, or None when no watch has told of it."""
        return self._jobs.get(name)

    def of_capture(self, uid: str) -> tuple[Json, ...]:
        """Give the known Jobs of a capture, of all its attempts."""
        return tuple(job for job in self._jobs.values() if _capture_uid(job) == uid)

    def running_captures(self) -> frozenset[str]:
        """Give the uids of the captures for which a Job runs."""
        running = (_capture_uid(j) for j in self._jobs.values() if job_phase(j)[0] is JobPhase.RUNNING)
        return frozenset(uid for uid in running if uid is not None)

    def put(self, body: Json) -> str | None:
        """Take in a Job; give the uid of the capture that it works for."""
        meta, uid = body["metadata"], _capture_uid(body)
        version = int(meta.get("resourceVersion") or 0)
        known = self._jobs.get(meta["name"])
        if known is not None and int(known["metadata"]["resourceVersion"]) > version:
            return uid
        if known is None:
            self._come.add(meta["name"])
        kept: Json = {
            "metadata": {"name": meta["name"], "resourceVersion": str(version), "labels": {}},
            "spec": {},
            "status": body.get("status", {}),
        }
        labels = meta.get("labels", {})
        kept["metadata"]["labels"] = {name: labels[name] for name in _KEPT_LABELS if name in labels}
        if "ttlSecondsAfterFinished" in body.get("spec", {}):
            kept["spec"] = {"ttlSecondsAfterFinished": body["spec"]["ttlSecondsAfterFinished"]}
        self._jobs[meta["name"]] = kept
        return uid

    def drop(self, body: Json) -> str | None:
        """Forget a Job that was deleted; give the uid of the capture that it worked for."""
        self._jobs.pop(body["metadata"]["name"], None)
        return _capture_uid(body)

    def put_pod(self, body: Json) -> str | None:
        """Take in the pod of a Job; give the uid of its capture when it tells of a clip for the first time.

        A clip that is published stays true, whatever becomes of the Job. A failure is for the Job to judge:
        it may start another pod.
        """
        uid = _capture_uid(body)
        result = termination_result((body,), uid) if uid is not None and uid not in self._clips else None
        if uid is None or result is None or result.clip is None:
            return None
        self._clips[uid] = result
        return uid

    def drop_pod(self, body: Json) -> None:
        """Forget a pod that was deleted: the capture's status has its result by now, or never will."""
        self._clips.pop(_capture_uid(body) or "", None)

    def told_clip(self, uid: str) -> CaptureResult | None:
        """Give the clip that a pod of the capture has told of, whether or not its Job has ended."""
        return self._clips.get(uid)

    def replace_all(self, bodies: tuple[Json, ...]) -> None:
        """Take in a complete list: a Job whose deletion no watch has told must not keep a place.

        What has come since the list before may be younger than this one, so only the next can show it gone.
        """
        listed = {body["metadata"]["name"] for body in bodies}
        for name in self._jobs.keys() - listed - self._come:
            del self._jobs[name]
        for body in bodies:
            self.put(body)
        self._come = set()


def _capture_uid(body: Json) -> str | None:
    uid = body["metadata"].get("labels", {}).get(CAPTURE_UID_LABEL)
    return str(uid) if uid else None

"""The capture Jobs as the watch tells them."""

from __future__ import annotations

from typing import Any

from replay_operator.cluster.jobs import CAPTURE_UID_LABEL

Json = dict[str, Any]


class JobStore:
    """The newest known version of each capture Job, by name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Json] = {}

    def get(self, name: str) -> Json | None:
        """Give a Job, or None when no watch has told of it."""
        return self._jobs.get(name)

    def put(self, body: Json) -> str | None:
        """Take in a Job; give the uid of the capture that it works for."""
        meta = body["metadata"]
        self._jobs[meta["name"]] = {"metadata": {"name": meta["name"]}, "status": body.get("status", {})}
        return _capture_uid(body)

    def drop(self, body: Json) -> str | None:
        """Forget a Job that was deleted; give the uid of the capture that it worked for."""
        self._jobs.pop(body["metadata"]["name"], None)
        return _capture_uid(body)


def _capture_uid(body: Json) -> str | None:
    uid = body["metadata"].get("labels", {}).get(CAPTURE_UID_LABEL)
    return str(uid) if uid else None

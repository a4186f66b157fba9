"""Which buffers wait for admission, computed anew only when buffers come, go or change their spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.controller.store import ObjectStore
from replay_operator.domain.admission import Admission, Limits, admit


class AdmissionBook:
    """Answers for one buffer at a time without looking at all of them each time."""

    def __init__(self, buffers: ObjectStore[ReplayBuffer], limits: Limits) -> None:
        self._buffers = buffers
        self._limits = limits
        self._seen = -1
        self._admission = Admission()

    def take_own_numbers(self, own: Mapping[str, int]) -> None:
        """Let owners have another number of buffers than the install's default.

        Args:
            own: All such owners with their numbers.
        """
        if own != self._limits.own:
            self._limits = replace(self._limits, own=own)
            self._seen = -1

    @property
    def now(self) -> Admission:
        """What follows from the buffers as they are known now."""
        if self._seen != self._buffers.spec_changes:
            self._seen = self._buffers.spec_changes
            self._admission = admit(self._buffers, self._limits)
        return self._admission

    def refusal(self, uid: str) -> str | None:
        """Say why a buffer must wait, or None when it may record.

        Args:
            uid: The buffer's uid.
        """
        if self._limits.none_set:
            return None  # thousands that come at once, each looked at for itself, cost no sum over all
        return self.now.waiting.get(uid)

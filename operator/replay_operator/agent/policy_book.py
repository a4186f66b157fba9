"""The policy in force: which one wins, and how it survives a restart of the agent."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from replay_operator.agent.clock import AgentClock
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.ownership import read_state, write_state
from replay_operator.api.agent import BufferPolicy, Policy, PolicyAck
from replay_operator.domain.layout import LayoutError, buffer_path

POLICY_FILE = "policy.json"
POLICY_LIMIT_BYTES = 16 * 1024 * 1024
"""Longest policy that is accepted: 5000 buffers with ten pins each are about 8 MiB."""

_NONE_YET = PolicyAck(epoch=0, seq=0)
_logger = logging.getLogger(__name__)


class InvalidPolicyError(ValueError):
    """A policy that contradicts itself or names a place outside the layout."""


class PolicyBook:
    """Holds the newest policy and when the operator was last heard."""

    def __init__(self, root: Path, files: FileWork, clock: AgentClock) -> None:
        """Take what is needed; `load` must be called before the first use.

        Args:
            root: Where the volume is mounted.
            files: The way to file operations.
            clock: Tells when a policy came.
        """
        self._root = root
        self._files = files
        self._clock = clock
        self._by_path: dict[str, BufferPolicy] = {}
        self.in_force: Policy | None = None
        self.heard_seconds: float | None = None

    @property
    def ack(self) -> PolicyAck:
        """Which policy is in force; 0 and 0 when none ever came."""
        if self.in_force is None:
            return _NONE_YET
        return PolicyAck(epoch=self.in_force.epoch, seq=self.in_force.seq)

    def policy_of(self, path: str) -> BufferPolicy | None:
        """Give what the policy in force says about one buffer, None when it does not name it.

        Args:
            path: Path of the buffer, relative to the volume.
        """
        return self._by_path.get(path)

    def oldest_pin(self) -> datetime | None:
        """Give when the oldest pinned range begins, None when nothing is pinned."""
        return min((pin.start for buffer in self._by_path.values() for pin in buffer.pins), default=None)

    async def load(self) -> None:
        """Take up the policy that an earlier agent stored. It does not count as heard from the operator.

        Raises:
            OSError: The volume cannot be read.
        """
        content = await self._files.run(read_state, self._root, POLICY_FILE, limit_bytes=POLICY_LIMIT_BYTES)
        if content is None:
            return
        try:
            self._put_in_force(Policy.model_validate_json(content))
        except ValidationError:
            _logger.warning(
                "the stored policy on %s is not valid; waiting for the operator's next one", self._root
            )

    async def put(self, policy: Policy) -> bool:
        """Store a policy and put it in force, unless a newer one is; say whether it was accepted.

        The same pair of epoch and seq again is accepted as a sign of life and changes nothing. The caller
        holds the volume's guard, so that no deletion under the old policy runs on after the answer.

        Args:
            policy: What the operator sent.

        Raises:
            InvalidPolicyError: It names a path twice or one that no buffer can have.
            OSError: It cannot be stored; the old one stays in force.
        """
        _check_paths(policy)
        offered, current = (policy.epoch, policy.seq), (self.ack.epoch, self.ack.seq)
        if self.in_force is not None and offered < current:
            return False
        if self.in_force is None or offered > current:
            content = policy.model_dump_json(by_alias=True, exclude_none=True).encode()
            await self._files.run(write_state, self._root, POLICY_FILE, content)
            self._put_in_force(policy)
        self.heard_seconds = self._clock.monotonic()
        return True

    def _put_in_force(self, policy: Policy) -> None:
        self.in_force = policy
        self._by_path = {buffer.path: buffer for buffer in policy.buffers}


def _check_paths(policy: Policy) -> None:
    seen: set[str] = set()
    for buffer in policy.buffers:
        namespace, _, uid = buffer.path.partition("/")
        try:
            buffer_path(namespace, uid)
        except LayoutError as error:
            raise InvalidPolicyError(
                f"the policy names the path {buffer.path!r}, which is not <namespace>/<buffer uid>: {error}"
            ) from error
        if buffer.path in seen:
            raise InvalidPolicyError(f"the policy names the path {buffer.path!r} twice: send it once")
        seen.add(buffer.path)

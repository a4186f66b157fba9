"""When a run that is alive must be replaced all the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.egress import Egress, RecordedPair, ns_to_datetime
from replay_operator.domain.observation import Observation

SPREAD = 0.1
"""Runs that began together are renewed up to a tenth of the age apart: a hand-over of eight buffers at once
would need eight free places (DESIGN §8)."""


def reason_to_renew(
    buffer: ReplayBuffer, egress: Egress, seen: Observation, wanted: RecordedPair | None, now: datetime
) -> str | None:
    """Say why a living run must be handed over, or None.

    Args:
        buffer: Whose run.
        egress: The egress that writes it.
        seen: What was observed.
        wanted: The tracks that are there now; None: nobody asked, or there are none.
        now: Time of the decision.
    """
    if egress.id in seen.doomed:
        return "its worker is told to go"
    if now - ns_to_datetime(egress.started_at_ns) >= max_age(buffer, seen.max_run_age):
        return "it has reached its maximum age"
    if wanted is not None and wanted != RecordedPair(video=egress.video_track, audio=egress.audio_track):
        return "its source publishes other tracks now"
    return None


def max_age(buffer: ReplayBuffer, age: timedelta) -> timedelta:
    """Give the age at which this buffer's runs are renewed, the same at each look.

    Args:
        buffer: Whose runs.
        age: The setting.
    """
    share = (crc32(buffer.metadata.uid.encode()) % 1000) / 1000
    return age * (1 - SPREAD * share)

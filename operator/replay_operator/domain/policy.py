"""The policy that the agent follows, built from the resources as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from replay_operator.api.agent import BufferPolicy, Pin, Policy
from replay_operator.api.meta import ConditionStatus, find_condition
from replay_operator.api.model import GROUP
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.domain.capacity import DEFAULT_SLACK_SECONDS, bytes_per_second
from replay_operator.domain.capture_state import is_finished
from replay_operator.domain.layout import buffer_path
from replay_operator.domain.status_contract import RECORDING, BufferState

BYTES_FACTOR = 2
"""A buffer may take so many times what its encoding says. Encoders overshoot for a scene, not for longer."""

MUX_BYTES_PER_SECOND = 24_000
"""What MPEG-TS may add to any encoding, where it counts only when pictures are tiny: a padded packet of 188
bytes for each of 47 frames of sound and 60 pictures a second, and 20 packets of tables."""

FORGET_ANNOTATION = f"{GROUP}/forget-before"


def pins_of(captures: Iterable[ReplayCapture]) -> dict[str, tuple[Pin, ...]]:
    """Give the pins of all unfinished captures, by directory of their buffer."""
    pins: dict[str, list[Pin]] = defaultdict(list)
    for capture in captures:
        source, wanted = capture.status.source, capture.status.range
        if capture.metadata.deletion_timestamp is not None:
            continue  # its clip is no longer wanted
        if source is None or wanted is None or is_finished(capture):
            continue
        pins[source.path].append(Pin(capture_uid=capture.metadata.uid, start=wanted.start, end=wanted.end))
    return {path: tuple(sorted(p, key=lambda pin: pin.capture_uid)) for path, p in pins.items()}


def build_policy(
    buffers: Iterable[ReplayBuffer],
    captures: Iterable[ReplayCapture],
    *,
    epoch: int,
    default_segment_seconds: int,
    names_all_buffers: bool = True,
    names_all_captures: bool = True,
) -> Policy:
    """Build the whole policy; its `seq` is given by whoever sends it.

    A buffer that has been deleted keeps a line of its own as long as a capture needs it, so that its
    directory is no orphan yet.

    Args:
        buffers: All buffers.
        captures: All captures.
        epoch: Of this leader.
        default_segment_seconds: For buffers that name none.
        names_all_buffers: Whether no other buffer is there: only then may a directory be an orphan.
        names_all_captures: Whether no other capture is there: only then may an unfinished clip be nobody's.
    """
    captures = list(captures)
    pins = pins_of(captures)
    lines = [_line(buffer, pins, default_segment_seconds) for buffer in buffers]
    named = {line.path for line in lines}
    lines += [
        BufferPolicy(
            path=path, window_seconds=0, slack_seconds=0, segment_seconds=default_segment_seconds, pins=held
        )
        for path, held in pins.items()
        if path not in named
    ]
    live = tuple(sorted(c.metadata.uid for c in captures if not is_finished(c)))
    return Policy(
        epoch=epoch,
        seq=0,
        complete=names_all_buffers,
        buffers=tuple(sorted(lines, key=lambda line: line.path)),
        live_captures=live if names_all_captures else None,
    )


def forget_before(buffer: ReplayBuffer) -> datetime | None:
    """Give the time before which everything is to be forgotten, or None.

    Args:
        buffer: Whose annotation `replaybuffer.dev/forget-before` says so, in RFC 3339. What cannot be read
            forgets nothing.
    """
    text = buffer.metadata.annotations.get(FORGET_ANNOTATION)
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _line(
    buffer: ReplayBuffer, pins: dict[str, tuple[Pin, ...]], default_segment_seconds: int
) -> BufferPolicy:
    path = buffer_path(buffer.metadata.namespace, buffer.metadata.uid)
    recording = find_condition(buffer.status.conditions, RECORDING)
    ended = recording is not None and (
        recording.status is ConditionStatus.FALSE
        and recording.reason in (BufferState.SOURCE_GONE, BufferState.SUSPENDED, BufferState.ENDED)
    )
    since = recording.last_transition_time if ended and recording is not None else None
    return BufferPolicy(
        path=path,
        window_seconds=buffer.spec.window_seconds,
        slack_seconds=DEFAULT_SLACK_SECONDS,
        segment_seconds=buffer.status.segment_seconds
        or buffer.spec.segment_seconds
        or default_segment_seconds,
        frozen_at=since,
        forget_before=forget_before(buffer),
        max_bytes=_max_bytes(buffer),
        expires_at=since + timedelta(seconds=buffer.spec.keep_after_end_seconds) if since else None,
        pins=pins.get(path, ()),
    )


def _max_bytes(buffer: ReplayBuffer) -> int:
    seconds = buffer.spec.window_seconds + DEFAULT_SLACK_SECONDS
    return BYTES_FACTOR * seconds * (bytes_per_second(buffer.spec.encoding) + MUX_BYTES_PER_SECOND)

"""Rows of `kubectl replay ls`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.domain.status_contract import READY, RECORDING
from replay_operator.kubectl.amounts import human_bytes
from replay_operator.kubectl.duration import age, exact
from replay_operator.kubectl.table import table
from replay_operator.kubectl.window import Window

_HEADER = ("NAME", "ROOM", "SOURCE", "RECORDING", "STATE", "WINDOW", "NEWEST", "AGE")
_WIDE = ("OLDEST", "HOLES", "RUNS", "SEGMENTS", "SIZE", "WORKER")
_UNKNOWN = "<unknown>"
_NONE = "<none>"


def buffer_table(
    buffers: Sequence[ReplayBuffer], windows: Mapping[str, Window] | None, *, wide: bool, now: datetime
) -> str:
    """Write the table of buffers.

    Args:
        buffers: Which ones, in their order.
        windows: What lies on disk, by the buffers' uids; None: the agent was not asked, and the status tells.
        wide: With more columns.
        now: The time.
    """
    header = (*_HEADER, *_WIDE) if wide else _HEADER
    rows = [_row(buffer, windows, now) + (_more(buffer, windows) if wide else ()) for buffer in buffers]
    return table(header, rows)


def source_text(buffer: ReplayBuffer) -> str:
    """Say in a word or two what a buffer records: the participant, else the ids of its tracks."""
    source = buffer.spec.source
    if source.participant is not None:
        return source.participant.identity
    tracks = source.tracks
    return ",".join(filter(None, (tracks.video, tracks.audio))) if tracks else _NONE


def _row(buffer: ReplayBuffer, windows: Mapping[str, Window] | None, now: datetime) -> tuple[str, ...]:
    recording = find_condition(buffer.status.conditions, RECORDING)
    ready = find_condition(buffer.status.conditions, READY)
    length, newest = _window(buffer, windows, now)
    return (
        buffer.metadata.name,
        buffer.spec.room,
        source_text(buffer),
        recording.status.value if recording else _UNKNOWN,
        ready.reason if ready else _UNKNOWN,
        f"{length}/{exact_seconds(buffer.spec.window_seconds)}",
        newest,
        age(now - buffer.metadata.creation_timestamp),
    )


def _window(buffer: ReplayBuffer, windows: Mapping[str, Window] | None, now: datetime) -> tuple[str, str]:
    if windows is None:
        told = buffer.status.window
        newest = _ago(told.end, now) if told and told.end else _UNKNOWN
        return (exact_seconds(told.seconds) if told else "0s"), newest
    window = windows.get(buffer.metadata.uid)
    if window is None:
        return "0s", _NONE
    return exact(window.length), _ago(window.newest, now)


def _more(buffer: ReplayBuffer, windows: Mapping[str, Window] | None) -> tuple[str, ...]:
    worker = (buffer.status.egress.worker if buffer.status.egress else None) or _NONE
    window = (windows or {}).get(buffer.metadata.uid)
    if window is None:
        return (*[_UNKNOWN if windows is None else _NONE] * (len(_WIDE) - 1), worker)
    return (
        f"{window.oldest.astimezone():%H:%M:%S}",
        str(len(window.holes)),
        str(len(window.runs)),
        str(window.segments),
        human_bytes(window.bytes),
        worker,
    )


def exact_seconds(seconds: int) -> str:
    """Write a number of seconds, such as 10m."""
    return exact(timedelta(seconds=seconds))


def _ago(moment: datetime, now: datetime) -> str:
    return f"{age(now - moment)} ago"

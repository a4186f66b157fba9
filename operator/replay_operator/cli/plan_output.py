"""How a plan is written for people: as a table, and as settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from replay_operator.domain.quantity import GIB
from replay_operator.domain.recording_cost import MEGABYTE, Assumption, Range, recording_cost
from replay_operator.domain.sizing import (
    DEFAULT_CLAIM_MAX_BYTES,
    FLEET_MIN,
    PUBLISHED_PLACES,
    Question,
    Sizing,
)
from replay_operator.domain.sizing_notes import notes, warnings

_GIGABYTE = 1000 * MEGABYTE

_ROWS: tuple[tuple[str, Callable[[Sizing], str]], ...] = (
    ("pods", lambda s: _span(s.pods)),
    ("CPU requested", lambda s: _span(s.requested_cores)),
    ("CPU used", lambda s: _span(s.cores)),
    ("RAM requested, GB", lambda s: _span(s.requested_memory_bytes, _GIGABYTE)),
    ("RAM used, GB", lambda s: _span(s.memory_bytes, _GIGABYTE)),
    ("HPA minReplicas, set by the operator", lambda s: str(s.hpa_min)),
    ("HPA maxReplicas", lambda s: str(s.hpa_max)),
    ("buffer volume (temp), GB", lambda s: _figure(s.buffer_volume_bytes / _GIGABYTE)),
    ("its claim, Gi", lambda s: str(s.claim_bytes // GIB)),
    ("segments on it", lambda s: str(s.files)),
    ("writes, MB/s", lambda s: _figure(s.write_bytes_per_second / MEGABYTE)),
    ("IOPS", lambda s: _figure(s.iops)),
    ("file changes a minute", lambda s: _figure(s.file_changes_per_minute)),
    ("archive, GB a day", lambda s: _figure(s.archive_bytes_per_day / _GIGABYTE)),
    ("archive, GB kept", lambda s: _figure(s.archive_bytes / _GIGABYTE)),
    ("CPU as Room Composite", lambda s: _span(s.room_composite_cores)),
    ("Room Composite, times the CPU", lambda s: _span(s.room_composite_times)),
)


def table_text(question: Question, sizings: Sequence[Sizing]) -> str:
    """Write the plan as a table, with what the reader has to know below it.

    Args:
        question: What was planned.
        sizings: The answers, one for each number of users.
    """
    rows = [("users", *(str(s.users) for s in sizings))]
    rows += [(name, *(cell(s) for s in sizings)) for name, cell in _ROWS]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    told = [
        *(f"! {warning}" for warning in warnings(question, sizings)),
        *(f"- {note}" for note in notes(question)),
    ]
    return "\n".join([_heading(question), "", lines[0], "-" * len(lines[0]), *lines[1:], "", *told])


def settings_text(question: Question, sizings: Sequence[Sizing]) -> str:
    """Write the settings of the operator for the largest number of users, as the data of its ConfigMap.

    Args:
        question: What was planned.
        sizings: The answers, one for each number of users.
    """
    largest = max(sizings, key=lambda sizing: sizing.users)
    archive_gib = max(1, -(-int(largest.archive_bytes) // GIB))
    values = {
        "REPLAY_BUFFER_CLAIM_SIZE": f"{largest.claim_bytes // GIB}Gi",
        "REPLAY_ARCHIVE_CLAIM_SIZE": f"{archive_gib}Gi",
        "REPLAY_SEGMENT_DURATION_SECONDS": f'"{question.segment_seconds}"',
        "REPLAY_BUFFERS_PER_WORKER": f'"{question.buffers_per_worker}"',
        "REPLAY_FLEET_MIN": f'"{FLEET_MIN}"',
        "REPLAY_FLEET_MAX": f'"{largest.hpa_max}"',
    }
    if largest.claim_bytes > DEFAULT_CLAIM_MAX_BYTES:
        values["REPLAY_BUFFER_CLAIM_MAX"] = values["REPLAY_BUFFER_CLAIM_SIZE"]
    if question.storage is not None:
        budget = max(1, int(question.storage.bytes_per_second / MEGABYTE))
        values["REPLAY_WRITE_BUDGET_MBPS"] = f'"{budget}"'
    purpose = f"{largest.users} users with {question.preset}, window {question.window_seconds} s"
    lines = [
        f"# Settings for {purpose} (cost per recording: {question.assumption}).",
        "# They belong into `data` of the ConfigMap of manifests/base/settings.yaml. maxReplicas in",
        "# manifests/base/autoscaler.yaml has to equal REPLAY_FLEET_MAX.",
        *(f"# {warning}" for warning in warnings(question, [largest])),
        "data:",
        *(f"  {name}: {value}" for name, value in values.items()),
    ]
    return "\n".join(lines)


def _heading(question: Question) -> str:
    cost = question.cost
    files = f"{question.files_per_window} files of {question.segment_seconds} s"
    return (
        f"{question.preset}, window {question.window_seconds} s in {files}; cost per recording: "
        f"{question.assumption}\n"
        f"one recording: {_span(cost.cores)} cores, {_span(cost.memory_bytes, _GIGABYTE)} GB of RAM, "
        f"{cost.bytes_per_second / MEGABYTE:.2f} MB/s, {question.buffer_bytes / MEGABYTE:.0f} MB on the "
        "buffer volume\n"
        f"{_other_figures(question)}\n"
        f"one pod: requests {question.pod_cores:g} CPU and {question.pod_memory_bytes / _GIGABYTE:.3g} GB, "
        f"recordings for each: {_per_pod(question)}"
    )


def _other_figures(question: Question) -> str:
    """Say what the others say: a plan is easily taken for the truth."""
    other = next(each for each in Assumption if each is not question.assumption)
    cost = recording_cost(question.preset, other)
    origin = "extrapolated from what was measured" if cost.extrapolated_from else f"{other}"
    return (
        f"{origin}, beside it: {_span(cost.cores)} cores, {_span(cost.memory_bytes, _GIGABYTE)} GB of RAM, "
        f"{cost.bytes_per_second / MEGABYTE:.2f} MB/s (--assume {other})"
    )


def _per_pod(question: Question) -> str:
    if question.assumption is Assumption.PUBLISHED:
        return _span(PUBLISHED_PLACES)
    return str(question.buffers_per_worker)


def _span(figure: Range, unit: float = 1) -> str:
    least, most = _figure(figure.least / unit), _figure(figure.most / unit)
    return least if least == most else f"{least}-{most}"


def _figure(value: float) -> str:
    """Write three digits at most, and a whole number from ten on."""
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"  # noqa: PLR2004 - two digits

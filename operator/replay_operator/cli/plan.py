"""`replay-operator plan`: what an install needs for a number of users, before it is made.

It reads nothing and talks to nobody. docs/capacity.md says where its figures come from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from replay_operator.api.replaybuffer import MAX_SEGMENTS, EncodingPreset
from replay_operator.cli.numbers import number, whole_number, whole_numbers
from replay_operator.cli.plan_output import settings_text, table_text
from replay_operator.domain.quantity import GIB
from replay_operator.domain.recording_cost import Assumption, RecordingCost, recording_cost
from replay_operator.domain.sizing import (
    PUBLISHED_PLACES,
    PUBLISHED_POD_CORES,
    PUBLISHED_POD_MEMORY_BYTES,
    Question,
    Sizing,
    covered_by_requests,
    size,
)
from replay_operator.domain.sizing_notes import notes, warnings
from replay_operator.domain.storage_budget import UnknownStorageError, storage_budget

_WINDOW_SECONDS = range(30, 14401)
_SEGMENT_SECONDS = range(2, 16)
_LEAST_SEGMENTS = 3
"""Bounds of a ReplayBuffer's spec."""
_BUFFERS_PER_WORKER = range(1, 65)
"""Bounds of REPLAY_BUFFERS_PER_WORKER."""
_USERS = range(1, 1_000_001)
_POD_CORES = 2
_POD_GIB = 2
"""Requests of manifests/base/fleet.yaml."""


def main(arguments: Sequence[str]) -> int:
    """Print the plan.

    Args:
        arguments: The command line without the program's name and the subcommand.

    Returns:
        The exit code.
    """
    parser = _parser()
    flags = parser.parse_args(arguments)
    question = _question(parser, flags)
    sizings = [size(question, users) for users in flags.users]
    sys.stdout.write(_OUTPUTS[flags.output](question, sizings) + "\n")
    return 0


def json_text(question: Question, sizings: Sequence[Sizing]) -> str:
    """Write the plan as JSON. Figures known from least to most are objects with both.

    Args:
        question: What was planned.
        sizings: The answers, one for each number of users.
    """
    return json.dumps(
        {
            "question": asdict(question),
            "recording": asdict(question.cost),
            "recording_by_assumption": {
                each: asdict(recording_cost(question.preset, each)) for each in Assumption
            },
            "files_per_window": question.files_per_window,
            "users": [asdict(sizing) for sizing in sizings],
            "warnings": warnings(question, sizings),
            "notes": notes(question),
        },
        indent=2,
    )


_OUTPUTS = {"table": table_text, "json": json_text, "settings": settings_text}


def _question(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> Question:
    assumption = Assumption(flags.assume)
    segments = flags.window / flags.segment_seconds
    if not _LEAST_SEGMENTS <= segments <= MAX_SEGMENTS:
        parser.error(
            f"a window holds {_LEAST_SEGMENTS} to {MAX_SEGMENTS} segments, and {flags.window} s are "
            f"{segments:g} of {flags.segment_seconds} s: change --window or --segment-seconds"
        )
    try:
        storage = None if flags.storage is None else storage_budget(flags.storage, assumption)
    except UnknownStorageError as error:
        parser.error(f"--storage: {error}")
    preset = EncodingPreset(flags.preset)
    pod_cores, pod_memory_bytes, per_worker = _pod(parser, flags, recording_cost(preset, assumption))
    return Question(
        preset=preset,
        assumption=assumption,
        window_seconds=flags.window,
        segment_seconds=flags.segment_seconds,
        pod_cores=pod_cores,
        pod_memory_bytes=pod_memory_bytes,
        buffers_per_worker=per_worker,
        captures_per_hour=flags.captures_per_hour,
        clip_seconds=flags.clip_seconds or flags.window,
        archive_days=flags.archive_days,
        storage=storage,
    )


def _pod(
    parser: argparse.ArgumentParser, flags: argparse.Namespace, cost: RecordingCost
) -> tuple[float, float, int]:
    """Give CPU and memory that a pod requests, and how many recordings it is asked for."""
    if flags.assume == Assumption.PUBLISHED:
        if any((flags.pod_cpu, flags.pod_memory_gib, flags.buffers_per_worker)):
            parser.error(
                "the published figures are of 4 to 8 recordings on pods with 2 CPU and 2 GB: leave out "
                "--pod-cpu, --pod-memory-gib and --buffers-per-worker"
            )
        return PUBLISHED_POD_CORES, PUBLISHED_POD_MEMORY_BYTES, int(PUBLISHED_PLACES.least)
    cores, memory_bytes = flags.pod_cpu or _POD_CORES, (flags.pod_memory_gib or _POD_GIB) * GIB
    return cores, memory_bytes, flags.buffers_per_worker or covered_by_requests(cost, cores, memory_bytes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay-operator plan",
        description="Workers, CPU, memory and storage for a number of users who record all the time.",
    )
    parser.add_argument("--users", type=whole_numbers(_USERS), default=(5, 20, 50, 100), metavar="N,N,...")
    parser.add_argument(
        "--preset",
        choices=[preset.value for preset in EncodingPreset],
        default=EncodingPreset.H264_1080P_60.value,
        metavar="PRESET",
        help="encoding of all buffers (default %(default)s)",
    )
    window = whole_number(_WINDOW_SECONDS)
    parser.add_argument("--window", type=window, default=600, metavar="SECONDS", help="windowSeconds (600)")
    segment = whole_number(_SEGMENT_SECONDS)
    parser.add_argument("--segment-seconds", type=segment, default=10, metavar="SECONDS", help="2 to 15 (10)")
    parser.add_argument(
        "--storage", metavar="hdd|ssd|nvme|MB/s", help="what the buffer volume can take in writes"
    )
    parser.add_argument(
        "--assume",
        choices=[assumption.value for assumption in Assumption],
        default=Assumption.MEASURED.value,
        help="whose figures of what a recording costs (default %(default)s)",
    )
    parser.add_argument(
        "--pod-cpu", type=number(0.1, 1024), metavar="CORES", help="that a worker's pod requests (2)"
    )
    parser.add_argument(
        "--pod-memory-gib", type=number(0.1, 8192), metavar="GIB", help="that it requests (2)"
    )
    per_worker = whole_number(_BUFFERS_PER_WORKER)
    parser.add_argument(
        "--buffers-per-worker",
        type=per_worker,
        metavar="N",
        help="REPLAY_BUFFERS_PER_WORKER (what the requests cover when each recording costs the most)",
    )
    parser.add_argument(
        "--captures-per-hour",
        type=number(0, 36500),
        default=0.1,
        metavar="N",
        help="of each user, on average (0.1)",
    )
    parser.add_argument(
        "--clip-seconds", type=number(1, 14400), metavar="SECONDS", help="of a capture (the window)"
    )
    parser.add_argument(
        "--archive-days", type=number(0, 36500), default=30, metavar="DAYS", help="clips are kept (30)"
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=sorted(_OUTPUTS),
        default="table",
        help="settings: REPLAY_* for manifests/base/settings.yaml, for the largest number of users",
    )
    return parser

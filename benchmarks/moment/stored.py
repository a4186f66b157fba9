"""Ten minutes of 1080p60 that lie on the disk: from the click to the clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.capture.media import SEGMENT_SECONDS
from benchmarks.moment.bed import Click, record
from benchmarks.moment.parts import Part, parts_of
from replay_operator.domain.layout import RunPath, run_name
from tests.stack.finished_run import FinishedRun, lay_run
from tests.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class StoredFigures:
    """The parts of each capture, and the size of a clip."""

    captures: list[list[Part]]
    clip_bytes: int
    clip_milliseconds: int


def save_stored(
    stack: Stack, segments: Sequence[Path], captures: int, say: Callable[[str], None]
) -> StoredFigures:
    """Lay ten minutes into a suspended buffer and save them again and again, one capture at a time.

    Args:
        stack: Where.
        segments: A run of ten minutes.
        captures: How often it is saved.
        say: Tells how far it is.
    """
    buffer = record(stack, segmentSeconds=SEGMENT_SECONDS, windowSeconds=600)
    name = buffer["metadata"]["name"]
    first_media = datetime.fromisoformat(buffer["status"]["egress"]["startedAt"])
    stack.kubectl("patch", "rb", name, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    stack.wait_for_condition("rb", name, "Recording", status="False", seconds=60)
    # Before what it recorded itself, and not further back than its window.
    length = timedelta(seconds=len(segments) * SEGMENT_SECONDS)
    began_at = (first_media - length - timedelta(seconds=5)).replace(microsecond=0)
    path = RunPath(stack.namespace, buffer["metadata"]["uid"], run_name(began_at, "ab12cd34"))
    run = FinishedRun(path, began_at, SEGMENT_SECONDS, segments)
    lay_run(stack, buffer, run)
    say(f"{len(segments)} segments lie on the buffer volume and are indexed")
    wanted = {"between": {"start": run.began_at.isoformat(), "end": run.ended_at.isoformat()}}
    found: list[list[Part]] = []
    clip: dict[str, int] = {}
    for number in range(captures):
        click = Click(stack, name)
        capture = click.save(range=wanted)
        clip = capture["status"]["clip"]
        found.append(parts_of(click.told(capture), click.requests()))
        click.forget()
        say(f"capture {number + 1} of {captures}: {_sentence(found[-1])}")
    return StoredFigures(found, clip["bytes"], clip["milliseconds"])


def _sentence(parts: list[Part]) -> str:
    whole = math.fsum(part.milliseconds for part in parts)
    return f"{whole:.0f} ms (" + ", ".join(f"{p.name} {p.milliseconds}" for p in parts) + ")"

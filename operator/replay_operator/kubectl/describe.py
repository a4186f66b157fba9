"""`kubectl replay describe`: a buffer in words, and its window as a picture."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click

from replay_operator.api.meta import find_condition
from replay_operator.api.replaybuffer import ReplayBuffer
from replay_operator.api.replaycapture import ReplayCapture
from replay_operator.cluster.resources import CAPTURES
from replay_operator.domain.status_contract import READY, RECORDING, is_true
from replay_operator.kubectl.amounts import human_bytes
from replay_operator.kubectl.buffer_table import exact_seconds, source_text
from replay_operator.kubectl.duration import age, exact
from replay_operator.kubectl.flags import BUFFER, cluster_flags
from replay_operator.kubectl.live import live_windows
from replay_operator.kubectl.ls import from_status
from replay_operator.kubectl.session import Session, in_cluster
from replay_operator.kubectl.table import table
from replay_operator.kubectl.telling import remark, tell
from replay_operator.kubectl.timeline import Ink, ink_for, picture
from replay_operator.kubectl.window import Stretch, Window, pinned

_LABEL_WIDTH = 14
_WIDEST = 120


@dataclass(frozen=True, slots=True)
class Paper:
    """What the picture is drawn on."""

    width: int
    ink: Ink


def description(
    buffer: ReplayBuffer,
    window: Window | None,
    captures: Sequence[ReplayCapture],
    *,
    paper: Paper,
    now: datetime,
) -> str:
    """Write what a buffer is and what its window holds.

    Args:
        buffer: Which one.
        window: What lies on disk; None: nothing, or the agent was not asked.
        captures: All captures of its namespace.
        paper: How wide the picture is, and with what it is drawn.
        now: The time.
    """
    pins = pinned(buffer, captures)
    lines = [*_head(buffer, now), *_window_lines(buffer, window, now)]
    axis = _axis(buffer, window, now)
    if axis is not None:
        recorded = (
            [Stretch(run.oldest, run.newest) for run in window.runs] if window else [_told(axis, buffer)]
        )
        lines += ["", *picture(axis, recorded, pins, width=paper.width, ink=paper.ink)]
    if window is not None:
        lines += _stretch_table("Holes:", window.holes)
    lines += _stretch_table("Pins:", pins)
    if window is not None:
        lines += _run_table(window)
    return "\n".join(lines)


def _head(buffer: ReplayBuffer, now: datetime) -> Iterable[str]:
    ready = find_condition(buffer.status.conditions, READY)
    recording = find_condition(buffer.status.conditions, RECORDING)
    source = buffer.spec.source.participant
    tracks = [each.value for each in (source.video, source.audio) if each] if source else []
    egress = buffer.status.egress
    segment = buffer.status.segment_seconds or buffer.spec.segment_seconds
    yield _line("Name:", buffer.metadata.name)
    yield _line("Namespace:", buffer.metadata.namespace)
    yield _line("Room:", buffer.spec.room)
    yield _line("Source:", f"{source_text(buffer)} {' + '.join(tracks)}".strip())
    yield _line("State:", f"{ready.reason}: {ready.message}" if ready else "nothing was said yet")
    if recording is not None:
        since = age(now - recording.last_transition_time)
        yield _line("Recording:", f"{recording.status.value}, for {since}")
    if egress is not None:
        yield _line("Worker:", egress.worker or "not known")
    if segment is not None:
        yield _line("Segments:", f"of {segment} s")


def _window_lines(buffer: ReplayBuffer, window: Window | None, now: datetime) -> Iterable[str]:
    asked = exact_seconds(buffer.spec.window_seconds)
    if window is None:
        told = buffer.status.window
        yield _line(
            "Window:",
            f"{exact_seconds(told.seconds)} of {asked}, by the status" if told else f"0s of {asked}",
        )
        return
    yield _line("Window:", f"{exact(window.length)} of {asked}, {exact(window.recorded)} recorded")
    yield _line("From:", f"{_clock(window.oldest)}, {age(now - window.oldest)} ago")
    yield _line("To:", f"{_clock(window.newest)}, {age(now - window.newest)} ago")
    yield _line(
        "On disk:", f"{human_bytes(window.bytes)} in {window.segments} segments of {len(window.runs)} runs"
    )


def _axis(buffer: ReplayBuffer, window: Window | None, now: datetime) -> Stretch | None:
    """Give what the picture spans: the wished window, and more where more is kept."""
    goes_on = is_true(buffer.status.conditions, RECORDING)
    told = buffer.status.window
    newest = window.newest if window else told.end if told and told.end else now if told else None
    if newest is None:
        return None
    end = now if goes_on else newest
    start = end - timedelta(seconds=buffer.spec.window_seconds)
    return Stretch(min(start, window.oldest) if window else start, end, "now" if goes_on else "end")


def _told(axis: Stretch, buffer: ReplayBuffer) -> Stretch:
    told = buffer.status.window
    return Stretch(axis.end - timedelta(seconds=told.seconds if told else 0), axis.end)


def _stretch_table(title: str, stretches: Sequence[Stretch]) -> list[str]:
    if not stretches:
        return []
    rows = [(_clock(s.start), _clock(s.end), exact_to_tenths(s.length), s.name) for s in stretches]
    return ["", title, _indented(table(("FROM", "TO", "LENGTH", ""), rows))]


def _run_table(window: Window) -> list[str]:
    rows = [
        (
            run.run,
            _clock(run.oldest),
            _clock(run.newest),
            str(run.segments),
            "yes" if run.ended else "no",
            run.clock.value,
        )
        for run in window.runs
    ]
    return ["", "Runs:", _indented(table(("RUN", "FROM", "TO", "SEGMENTS", "ENDED", "CLOCK"), rows))]


def exact_to_tenths(length: timedelta) -> str:
    """Write a length that may be below a second, such as 0.4s."""
    return exact(length) if length >= timedelta(seconds=10) else f"{length.total_seconds():.1f}s"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{text}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


@click.command("describe", short_help="Describe a buffer, with a picture of its window.")
@click.argument("name", metavar="BUFFER", type=BUFFER)
@cluster_flags
def command(name: str) -> None:
    """Describe a buffer: what it records, what its window holds, where it has holes, what captures keep.

    Times are those of this machine's zone. If you may not run a command in the agent's pod, the picture is
    made from the status, which knows no holes.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)

    async def work(session: Session) -> None:
        item, items = await asyncio.gather(
            session.buffer(name), session.gateway.list(CAPTURES, session.namespace)
        )
        buffer = ReplayBuffer.model_validate(item)
        captures = [ReplayCapture.model_validate(each) for each in items]
        live = await live_windows(session, [buffer])
        if live.windows is None:
            remark(from_status(live))
        window = (live.windows or {}).get(buffer.metadata.uid)
        paper = Paper(width, ink_for(sys.stdout.encoding))
        tell(description(buffer, window, captures, paper=paper, now=datetime.now(UTC)))

    in_cluster(work)

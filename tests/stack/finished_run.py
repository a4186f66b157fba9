"""A recording that is over, laid on the buffer volume of a running install at once."""

from __future__ import annotations

import base64
import json
import os
import shutil
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import INDEX_PLAYLIST, LIVE_PLAYLIST, RunPath, segment_name
from tests.stack.stack import Stack

BUFFER_CLAIM = "replay-buffers"
ARRIVAL_LAG_SECONDS = 0.65
"""A segment is on disk segmentSeconds + 0.65 s after its media ends (docs/sources.md)."""

LISTED_LIVE = 5


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that is over. `began_at` is the capture time of its first frame, at PTS 3600 s in `segments`."""

    path: RunPath
    began_at: datetime
    segment_seconds: int
    segments: Sequence[Path]

    @property
    def ended_at(self) -> datetime:
        """Capture time of its end."""
        return self.began_at + timedelta(seconds=len(self.segments) * self.segment_seconds)


def lay_run(stack: Stack, buffer: dict[str, Any], run: FinishedRun) -> None:
    """Lay a run into the directory of a buffer, and wait until the agent has indexed all of it.

    The agent makes the directory, as it does for the operator. Files get the times at which a worker would
    have written them.

    Args:
        stack: Where.
        buffer: The ReplayBuffer, for its room.
        run: What to copy there, and of which part of the past it is.
    """
    run_file = RunFile(
        room=buffer["spec"]["room"],
        buffer=buffer["metadata"]["name"],
        segment_seconds=run.segment_seconds,
        media_started_at_ns=int(run.began_at.timestamp()) * 10**9 + run.began_at.microsecond * 1000,
        video_track="TR_VCfinished",
        audio_track="TR_AMfinished",
    )
    _put_run(stack, run.path, run_file)
    directory = stack.node.volume_path(stack.namespace, BUFFER_CLAIM) / run.path.relative
    for index, segment in enumerate(run.segments):
        file = directory / segment_name(index)
        shutil.copyfile(segment, file)
        media_end = run.began_at + timedelta(seconds=(index + 1) * run.segment_seconds)
        _as_of(file, media_end + timedelta(seconds=run.segment_seconds + ARRIVAL_LAG_SECONDS))
    for name, first in ((INDEX_PLAYLIST, 0), (LIVE_PLAYLIST, max(len(run.segments) - LISTED_LIVE, 0))):
        (directory / name).write_text(_playlist(run, first))
    stack.wait_for(f"coverage of {len(run.segments)} segments", lambda: _is_covered(stack, run), seconds=120)


def _put_run(stack: Stack, path: RunPath, run_file: RunFile) -> None:
    secret = stack.get("secret", "replay-operator-agent") or {}
    token = base64.b64decode(secret["data"]["token"]).decode()
    request = urllib.request.Request(
        f"http://{stack.address('replay-agent')}:8480/v1/runs/{path.relative}",
        method="PUT",
        data=json.dumps(run_file.to_wire()).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()


def _playlist(run: FinishedRun, first: int) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:4", f"#EXT-X-TARGETDURATION:{run.segment_seconds}"]
    lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
    for index in range(first, len(run.segments)):
        moment = (run.began_at + timedelta(seconds=index * run.segment_seconds)).astimezone(UTC)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines += [f"#EXT-X-PROGRAM-DATE-TIME:{stamp}", f"#EXTINF:{run.segment_seconds}.000,"]
        lines.append(segment_name(index))
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _as_of(file: Path, moment: datetime) -> None:
    # A worker that still runs cannot have written it in the future.
    stamp = min(moment, datetime.now(UTC)).timestamp()
    os.utime(file, (stamp, stamp))


def _is_covered(stack: Stack, run: FinishedRun) -> bool:
    found = (r for b in stack.coverage().buffers if b.path == run.path.buffer for r in b.runs)
    return any(r.run == run.path.run and r.segments == len(run.segments) and r.ended for r in found)

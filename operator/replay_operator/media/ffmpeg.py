"""Builds ffmpeg's command lines and runs them. Its exit code is only one of three witnesses.

The other two are its stderr (read here) and the finished file (verify.py).
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.feed import feed
from replay_operator.media.plan import Plan
from replay_operator.media.timeline import TICKS_PER_SECOND

MOOV_TOO_SMALL = "reserved_moov_size is too small"
"""ffmpeg 5.1 then ends with 0 and a corrupt file (concat.md §1.2)."""

_DISK_FULL_LINES = ("No space left on device", "Disk quota exceeded", "File too large")
_FATAL_LINES = ("Error writing trailer", "av_interleaved_write_frame()")
_OTHER_OPEN_FILES = 64
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Labels:
    """What is written into the MP4 for people."""

    title: str | None
    created_at: datetime


def join_arguments(
    plan: Plan, *, source: str, output: Path, labels: Labels, moov_bytes: int | None
) -> list[str]:
    """Build the command that makes the clip.

    Args:
        plan: What to make.
        source: The MPEG-TS to read: a list for the `concatf` protocol, or a pipe.
        output: The file to write; it is not truncated, so that preallocated blocks stay.
        labels: Title and creation time.
        moov_bytes: Room in front of the media for the index. None: the file is rewritten at the end.
    """
    arguments = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning"]
    arguments += ["-f", "mpegts"]
    # Keeps holes of 10 s and more on the timeline; by default picture and sound part by 10 s (concat.md §4).
    arguments += ["-dts_delta_threshold", "1000000"]
    if plan.probing is not None:
        arguments += ["-analyzeduration", str(plan.probing.microseconds)]
        arguments += ["-probesize", str(plan.probing.size_bytes)]
    arguments += ["-itsoffset", f"-{_seconds(plan.start - plan.origin)}", "-i", source]
    for track in plan.tracks:
        arguments += ["-map", f"0:i:{track.pid}"]
    arguments += ["-c", "copy"]
    if plan.dts_limit is not None:
        arguments += ["-t", _seconds(plan.dts_limit - plan.start)]
    # The clock of the segments in the edit list and in the picture's track: no rounding anywhere.
    arguments += ["-movie_timescale", str(TICKS_PER_SECOND), "-video_track_timescale", str(TICKS_PER_SECOND)]
    arguments += ["-moov_size", str(moov_bytes)] if moov_bytes is not None else ["-movflags", "+faststart"]
    arguments += ["-map_metadata", "-1"]
    if labels.title is not None:
        arguments += ["-metadata", f"title={labels.title.replace(chr(0), ' ')}"]
    created_at = labels.created_at.astimezone(UTC).isoformat(timespec="milliseconds")
    arguments += ["-metadata", f"creation_time={created_at.replace('+00:00', 'Z')}"]
    return [*arguments, "-f", "mp4", "-truncate", "0", "-y", f"file:{output}"]


def join(plan: Plan, output: Path, labels: Labels, *, timeout_seconds: float) -> None:
    """Write the clip. When the index does not fit in front, write it again the slow way.

    Args:
        plan: What to make.
        output: An existing file.
        labels: Title and creation time.
        timeout_seconds: Longest time for one pass.

    Raises:
        CaptureFailedError: JoinFailed or ArchiveFull.
    """
    for moov_bytes in (plan.moov_bytes, None):
        with _source(plan) as source:
            arguments = join_arguments(
                plan, source=source.name, output=output, labels=labels, moov_bytes=moov_bytes
            )
            result = run_ffmpeg(
                arguments, timeout_seconds=timeout_seconds, stdin=source.stdin, pass_fds=source.pass_fds
            )
        if MOOV_TOO_SMALL not in result.stderr:
            refuse_failed(result, output)
            return
        # Nothing of the corrupt first try may stay behind the end of the second.
        os.truncate(output, 0)


@dataclass(frozen=True, slots=True)
class FfmpegResult:
    """How a run of ffmpeg ended."""

    exit_code: int
    stderr: str

    @property
    def last_lines(self) -> str:
        """The end of its stderr, for people."""
        return " | ".join(self.stderr.strip().splitlines()[-_LAST_LINES:])


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    timeout_seconds: float,
    stdin: int = subprocess.DEVNULL,
    pass_fds: tuple[int, ...] = (),
) -> FfmpegResult:
    """Run ffmpeg to its end. It is killed when the time is up or when this process is interrupted.

    Raises:
        CaptureFailedError: JoinFailed, when ffmpeg cannot be started or does not end in time.
    """
    try:
        done = subprocess.run(
            arguments,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout_seconds,
            pass_fds=pass_fds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise too_slow(timeout_seconds) from error
    except OSError as error:
        raise CaptureFailedError(
            CaptureErrorReason.JOIN_FAILED,
            f"cannot start ffmpeg: {error.strerror}. The image has to contain it",
        ) from error
    return FfmpegResult(done.returncode, done.stderr.decode(errors="replace"))


def too_slow(timeout_seconds: float) -> CaptureFailedError:
    """Make the failure that says that ffmpeg took too long."""
    return CaptureFailedError(
        CaptureErrorReason.JOIN_FAILED,
        f"ffmpeg did not end within {timeout_seconds:.0f} s: check the speed of the two volumes",
    )


def refuse_failed(result: FfmpegResult, output: Path) -> None:
    """Look at how ffmpeg ended and at what it said.

    Raises:
        CaptureFailedError: JoinFailed or ArchiveFull.
    """
    if -result.exit_code == signal.SIGXFSZ or any(line in result.stderr for line in _DISK_FULL_LINES):
        raise CaptureFailedError(
            CaptureErrorReason.ARCHIVE_FULL,
            f"the archive volume filled up while {output.name} was written: free space or enlarge it",
        )
    if result.exit_code != 0 or any(line in result.stderr for line in _FATAL_LINES):
        raise CaptureFailedError(
            CaptureErrorReason.JOIN_FAILED,
            f"ffmpeg ended with {result.exit_code} while {output.name} was written: {result.last_lines}",
        )


def _seconds(ticks: int) -> str:
    """Write ticks as seconds with six digits, which is as fine as ffmpeg reads them."""
    microseconds = (ticks * 100 + 4) // 9
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


@dataclass(frozen=True, slots=True)
class _Source:
    """Where ffmpeg reads, and the descriptors that it needs for that."""

    name: str
    stdin: int = subprocess.DEVNULL
    pass_fds: tuple[int, ...] = ()


@contextmanager
def _source(plan: Plan) -> Iterator[_Source]:
    """Offer whole segments by name, which is fastest; anything else as one stream that we write."""
    if plan.shares:
        with feed(plan) as descriptor:
            yield _Source("pipe:0", stdin=descriptor)
        return
    paths = [segment.file.path for segment in plan.segments]
    _raise_open_files_limit(len(paths) + _OTHER_OPEN_FILES)
    with _segment_list(paths) as (descriptor, list_path):
        yield _Source(f"concatf:{list_path}", pass_fds=(descriptor,))


@contextmanager
def _segment_list(paths: Sequence[Path]) -> Iterator[tuple[int, str]]:
    """Hold the list of segments in memory: nothing to clean up, and no writable directory is needed."""
    descriptor = os.memfd_create("segments")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write("".join(f"{_escaped(path)}\n" for path in paths).encode())
        yield descriptor, f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _escaped(path: Path) -> str:
    """Write a path as a line for `concatf`, in which backslash and quote are special."""
    text = str(path.absolute())
    if "\n" in text or "\r" in text:
        raise CaptureFailedError(
            CaptureErrorReason.BAD_REQUEST, f"the path {text!r} has a line break in it: rename the directory"
        )
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _raise_open_files_limit(needed: int) -> None:
    # concatf opens every segment at the start; the usual limit of 1024 ends at about 1,000 of them.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

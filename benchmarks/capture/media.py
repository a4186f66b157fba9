"""Makes ten minutes of 1080p60 as the egress worker writes them: ten seconds are encoded, and repeated."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from replay_operator.api.agent import RunFile
from replay_operator.domain.layout import INDEX_FILE, INDEX_PLAYLIST, RUN_FILE, segment_name
from replay_operator.media.segment_file import read_segment
from replay_operator.media.segment_index import index_record
from replay_operator.media.timeline import expected_ticks
from replay_operator.media.ts_grid import TS_PACKET_BYTES
from replay_operator.media.ts_probe import scan_segment

STARTED_AT = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
SEGMENT_SECONDS = 10
FRAMES_PER_SECOND = 60
VIDEO_KBPS = 6000
"""LiveKit's preset H264_1080P_60 (livekit.md §2.1)."""

_QUIET = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]


def make_segments(cache: Path, segments: int) -> list[Path]:
    """Make the segments once; later calls find them.

    Args:
        cache: Where they are kept.
        segments: How many.
    """
    directory = cache / f"1080p60-{segments}x{SEGMENT_SECONDS}s"
    if not directory.exists():
        unfinished = directory.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _encode(unfinished, segments)
        _count_on(sorted(unfinished.glob("seg_*.ts")))
        unfinished.rename(directory)
    return sorted(directory.glob("seg_*.ts"))


def lay_out_run(directory: Path, segments: list[Path], *, first: int = 0) -> Path:
    """Copy segments into a run directory, with playlist and `run.json`, without an index.

    Args:
        directory: The run's directory.
        segments: What to copy.
        first: Number of the first segment.
    """
    directory.mkdir(parents=True)
    entries = []
    for index, segment in enumerate(segments, start=first):
        shutil.copyfile(segment, directory / segment_name(index))
        entries.append(f"#EXTINF:{SEGMENT_SECONDS}.000,\n{segment_name(index)}\n")
    head = f"#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}\n"
    (directory / INDEX_PLAYLIST).write_text(head + "".join(entries))
    run_file = RunFile(
        room="bench",
        buffer="bench",
        segment_seconds=SEGMENT_SECONDS,
        media_started_at_ns=int(STARTED_AT.timestamp()) * 1_000_000_000,
        video_track="TR_VC",
        audio_track="TR_AM",
    )
    (directory / RUN_FILE).write_text(run_file.model_dump_json(by_alias=True))
    return directory


def write_index(run: Path) -> None:
    """Write the run's index as the agent does.

    Args:
        run: The run's directory.
    """
    lines = []
    for path in sorted(run.glob("seg_*.ts")):
        index = int(path.stem.removeprefix("seg_"))
        segment = read_segment(path)
        scan = scan_segment(segment.data, near_ticks=expected_ticks(index, SEGMENT_SECONDS))
        record = index_record(index, segment.stamp, scan) if segment.stamp is not None else None
        lines.append(record.line() if record is not None else b"")
    (run / INDEX_FILE).write_bytes(b"".join(lines))


def _encode(directory: Path, segments: int) -> None:
    picture = directory / "picture.mp4"
    frames = SEGMENT_SECONDS * FRAMES_PER_SECOND
    source = f"testsrc2=size=1920x1080:rate={FRAMES_PER_SECOND},noise=alls=12:allf=t"
    subprocess.run(
        [
            *(*_QUIET, "-f", "lavfi", "-i", source, "-t", str(SEGMENT_SECONDS), "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-bf", "2"),
            *("-x264-params", f"keyint={frames}:min-keyint={frames}:scenecut=0"),
            *("-b:v", f"{VIDEO_KBPS}k", "-maxrate", f"{VIDEO_KBPS}k", "-bufsize", f"{2 * VIDEO_KBPS}k"),
            str(picture),
        ],
        check=True,
    )
    subprocess.run(
        [
            *(*_QUIET, "-stream_loop", str(segments - 1), "-i", str(picture)),
            *("-f", "lavfi", "-i", "sine=440:sample_rate=44100", "-t", str(segments * SEGMENT_SECONDS)),
            *("-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-ac", "2"),
            *("-f", "segment", "-segment_time", str(SEGMENT_SECONDS), "-segment_format", "mpegts"),
            *("-segment_format_options", "pes_payload_size=0", "-output_ts_offset", "3600"),
            *("-muxdelay", "0", "-muxpreload", "0", str(directory / "seg_%05d.ts")),
        ],
        check=True,
    )
    picture.unlink()


def _count_on(segments: list[Path]) -> None:
    """Let continuity counters run on from segment to segment, as the worker's one muxer does."""
    packets: dict[int, int] = {}
    for path in segments:
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, TS_PACKET_BYTES).copy()
        pids = (rows[:, 1].astype(int) & 0x1F) << 8 | rows[:, 2]
        with_payload = (rows[:, 3] & 0x10) != 0
        for pid in map(int, np.unique(pids)):
            places = np.flatnonzero((pids == pid) & with_payload)
            before = packets.get(pid, 0)
            counters = ((before + np.arange(len(places))) & 15).astype(np.uint8)
            rows[places, 3] = (rows[places, 3] & 0xF0) | counters
            packets[pid] = before + len(places)
        path.write_bytes(rows.tobytes())

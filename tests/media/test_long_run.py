"""A run with more segments than a process may have open files by default."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import av
import pytest

from replay_operator.api.capture_job import CaptureResult
from replay_operator.api.replaycapture import Trim
from tests.media.clip_reader import packets
from tests.media.conftest import RequestMaker
from tests.media.repeated_run import SHAPE, make_long_run, numbers_of
from tests.media.segment_maker import read_frame_number
from tests.media.worker_process import DEADLINE_SECONDS, by_environment, command

SEGMENTS = 1100
USUAL_OPEN_FILES = 1024
FPS = SHAPE.frames_per_second


def numbers_from(clip: Path, seconds: float, frames: int) -> list[int]:
    """Decode some pictures from a key frame on."""
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        container.seek(round((seconds + 0.5) / stream.time_base), stream=stream)
        return [
            read_frame_number(f.to_ndarray(format="gray"))
            for f, _ in zip(container.decode(stream), range(frames), strict=False)
        ]


def test_eleven_hundred_segments_are_one_clip_without_a_seam(tmp_path: Path, ask: RequestMaker) -> None:
    run = make_long_run(tmp_path / "buffer" / "run-1", tmp_path, SEGMENTS)
    seconds = SEGMENTS * SHAPE.segment_seconds
    request = ask(run, 0, seconds - 1, trim=Trim.SEGMENT)
    done = subprocess.run(
        command(),
        env={**os.environ, **by_environment(request, tmp_path / "log")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_OPEN_FILES, 4096)),
        capture_output=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    result = CaptureResult.model_validate_json(done.stdout).clip
    assert result is not None
    assert (result.segments, result.holes, result.gaps) == (SEGMENTS, (), ())
    # The sound of a segment begins a little before its picture.
    assert result.milliseconds == pytest.approx(seconds * 1000, abs=250)
    clip = Path(request.archive_directory, request.clip_path)
    frames = seconds * FPS
    assert packets(clip, "video").steps() == pytest.approx([1 / FPS] * (frames - 1), abs=0.0005)
    sound = packets(clip, "audio").steps()
    assert sound == pytest.approx([1024 / SHAPE.sample_rate_hz] * len(sound), abs=0.0005)
    assert len(sound) == pytest.approx(seconds * SHAPE.sample_rate_hz / 1024, abs=3)
    for start in (0, seconds // 2, seconds - 20):
        assert numbers_from(clip, start, 40) == numbers_of(start * FPS, 40)

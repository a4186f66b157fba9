"""Fixtures: small real segments, a volume, a token, a running agent."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.agent.rig import SEGMENT_SECONDS, TOKEN, MovedClock, Rig, make_rig

SEGMENTS = 12


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve real segments of 2 s, one key frame each, media from PTS 3600 s on as the worker writes them."""
    directory = tmp_path_factory.mktemp("segments")
    frames = 15
    subprocess.run(
        [
            *("ffmpeg", "-nostdin", "-loglevel", "error"),
            *("-f", "lavfi", "-i", f"testsrc=size=160x90:rate={frames}"),
            *("-f", "lavfi", "-i", "sine=sample_rate=44100"),
            *("-t", str(SEGMENTS * SEGMENT_SECONDS)),
            *("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-sc_threshold", "0"),
            *("-g", str(frames * SEGMENT_SECONDS), "-c:a", "aac", "-b:a", "32k"),
            *("-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", "3600"),
            *("-f", "segment", "-segment_time", str(SEGMENT_SECONDS), "-segment_format", "mpegts"),
            str(directory / "seg_%05d.ts"),
        ],
        check=True,
        timeout=60,
    )
    return sorted(directory.glob("seg_*.ts"))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "buffer"
    path.mkdir()
    path.chmod(0o2775)
    return path


@pytest.fixture
def token_directory(tmp_path: Path) -> Path:
    path = tmp_path / "agent-token"
    path.mkdir()
    (path / "token").write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def rig(
    volume: Path, token_directory: Path, segments: list[Path], clock: MovedClock
) -> AsyncIterator[Rig]:
    """An agent that owns its volume, has listed it just now and is past its start-up quiet."""
    made = make_rig(volume, token_directory, segments, clock)
    await made.start()
    clock.advance(60)
    await made.agent.scan()
    yield made
    await made.stop()

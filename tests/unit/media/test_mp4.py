from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay_operator.api.replaycapture import Track
from replay_operator.media.mp4 import MovieFacts, NotMp4Error, read_movie
from tests.unit.media.recorded import KILLED


@pytest.fixture(scope="module")
def movie_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A clip that hides its first second, as ffmpeg writes it."""
    output = tmp_path_factory.mktemp("mp4") / "out.mp4"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-itsoffset", "-1", "-i", str(KILLED / "seg_00007.ts")]
    command += ["-c", "copy", "-movflags", "+faststart", str(output)]
    subprocess.run(command, check=True)
    return output.read_bytes()


def read(data: bytes) -> MovieFacts:
    return read_movie(io.BytesIO(data))


def test_a_finished_clip_tells_its_samples_and_what_a_player_shows(movie_bytes: bytes) -> None:
    movie = read(movie_bytes)
    video, audio = movie.tracks
    assert (video.track, video.samples, video.sync_samples) == (Track.VIDEO, 180, 1)
    assert (audio.track, audio.samples) == (Track.AUDIO, 258)
    assert movie.index_first
    assert movie.media_bytes == video.sample_bytes + audio.sample_bytes
    assert movie.size_bytes == len(movie_bytes)
    assert video.hidden == pytest.approx(90_000, abs=2000)
    assert video.shown == pytest.approx(5 * 90_000, abs=3000)


def test_an_index_behind_the_media_is_seen(movie_bytes: bytes) -> None:
    ftyp = int.from_bytes(movie_bytes[:4])
    moov = int.from_bytes(movie_bytes[ftyp : ftyp + 4])
    index = movie_bytes[ftyp : ftyp + moov]
    assert not read(movie_bytes[:ftyp] + movie_bytes[ftyp + moov :] + index).index_first


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x08ftyp", b"\x00\x00\x00\x07ftyp", b"abc"])
def test_what_is_no_mp4_is_refused(data: bytes) -> None:
    with pytest.raises(NotMp4Error):
        read(data)


def test_a_clip_that_ends_early_is_refused(movie_bytes: bytes) -> None:
    with pytest.raises(NotMp4Error):
        read(movie_bytes[:-1])


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=8)), max_size=12))
def test_any_damage_to_the_index_is_survived(movie_bytes: bytes, changes: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(movie_bytes)
    for at, new in changes:
        damaged[at : at + len(new)] = new
    try:
        read(bytes(damaged))
    except NotMp4Error:
        return


def test_a_recorded_segment_is_no_mp4(tmp_path: Path) -> None:
    with (KILLED / "seg_00007.ts").open("rb") as file, pytest.raises(NotMp4Error):
        read_movie(file)

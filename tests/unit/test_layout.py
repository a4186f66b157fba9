"""Paths on the two volumes."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.layout import (
    LayoutError,
    RunPath,
    buffer_path,
    clip_path,
    parse_filename_prefix,
    run_name,
    segment_index,
    segment_name,
)
from tests.builders import NOW


def test_a_run_is_found_again_by_its_prefix() -> None:
    path = RunPath("team", "uid-1", run_name(NOW, "a1b2c3"))
    assert parse_filename_prefix(path.filename_prefix("/buffer"), "/buffer") == path


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/other/team/uid/run/seg",
        "/buffer/team/uid/seg",
        "/buffer/team/uid/run/more/seg",
        "/buffer/../uid/run/seg",
        "/buffer/team/uid/run/movie",
        "{room_name}-{time}",
        "/buffer/team/uid\n/run/seg",
    ],
)
def test_a_foreign_prefix_is_not_ours(prefix: str) -> None:
    assert parse_filename_prefix(prefix, "/buffer") is None


@given(st.text(), st.text())
def test_no_name_leaves_the_volume(namespace: str, uid: str) -> None:
    try:
        path = buffer_path(namespace, uid)
    except LayoutError:
        return
    parts = PurePosixPath(path).parts
    assert len(parts) == 2
    assert not any(part.startswith(".") or "/" in part for part in parts)


@given(st.text(max_size=80), st.text(max_size=300))
def test_a_clip_stays_in_its_directory_whatever_it_is_called(owner: str, name: str) -> None:
    path = clip_path(namespace="team", owner=owner, day=NOW, name=name, uid="cafecafe-1")
    parts = PurePosixPath(path).parts
    assert len(parts) == 4
    assert parts[0] == "team"
    assert not any(part.startswith(".") for part in parts)
    assert parts[3].endswith("-cafecafe.mp4")
    assert len(parts[3]) <= 255


def test_run_names_sort_by_time() -> None:
    later = NOW.replace(hour=13)
    assert run_name(NOW, "ffffff") < run_name(later, "000000")


@pytest.mark.parametrize("index", [0, 99999, 100000, 1234567])
def test_segment_names_count_on_after_five_digits(index: int) -> None:
    assert segment_index(segment_name(index)) == index


@pytest.mark.parametrize(
    "name", ["seg_1.ts", "seg_00001.ts.tmp", "other_00001.ts", "index.m3u8", "seg_00001.ts\n"]
)
def test_other_files_are_no_segments(name: str) -> None:
    assert segment_index(name) is None

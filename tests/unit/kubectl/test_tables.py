import json

import pytest
import yaml

from replay_operator.kubectl.amounts import human_bytes
from replay_operator.kubectl.buffer_table import buffer_table
from replay_operator.kubectl.capture_table import capture_table, outcome, progress
from replay_operator.kubectl.flags import Format
from replay_operator.kubectl.table import objects, one_object, table
from replay_operator.kubectl.window import window_of
from tests.unit.kubectl.objects import (
    BUFFER_UID,
    CLIP,
    NOW,
    at,
    buffer,
    buffer_json,
    capture,
    capture_json,
    coverage,
    run,
)

LIVE = {BUFFER_UID: window_of(coverage(run("a", -600, -300), run("b", -200, -6)))}


def rows(text: str) -> list[dict[str, str]]:
    """The cells of each row by the names of the columns."""
    header, *lines = text.splitlines()
    names = header.split()
    starts = [header.index(name) for name in names]
    ends = [*starts[1:], None]
    return [
        {name: line[a:b].strip() for name, a, b in zip(names, starts, ends, strict=True)} for line in lines
    ]


def test_columns_are_as_wide_as_their_widest_cell_and_no_line_ends_with_blanks() -> None:
    assert (
        table(("NAME", "AGE"), [("a", "5m"), ("long-name", "")])
        == "NAME        AGE\na           5m\nlong-name"
    )


def test_ls_tells_how_far_back_a_buffer_reaches_now() -> None:
    windows = {uid: window for uid, window in LIVE.items() if window}
    (row,) = rows(buffer_table([buffer()], windows, wide=True, now=NOW))
    assert row["WINDOW"] == "9m54s/10m"
    assert row["NEWEST"] == "6s ago"
    assert (row["HOLES"], row["RUNS"], row["SIZE"]) == ("1", "2", "2.86MiB")
    assert (row["RECORDING"], row["STATE"], row["SOURCE"], row["AGE"]) == (
        "True",
        "Recording",
        "alice",
        "20m",
    )


def test_without_the_agent_ls_tells_what_the_status_says() -> None:
    (row,) = rows(buffer_table([buffer(window={"seconds": 300})], None, wide=True, now=NOW))
    assert (row["WINDOW"], row["NEWEST"], row["HOLES"]) == ("5m/10m", "<unknown>", "<unknown>")


def test_a_buffer_without_a_file_has_an_empty_window() -> None:
    (row,) = rows(buffer_table([buffer()], {}, wide=False, now=NOW))
    assert (row["WINDOW"], row["NEWEST"]) == ("0s/10m", "<none>")


def test_a_buffer_that_nobody_has_looked_at_is_unknown() -> None:
    (row,) = rows(buffer_table([buffer(conditions=[])], {}, wide=False, now=NOW))
    assert (row["RECORDING"], row["STATE"]) == ("<unknown>", "<unknown>")


def test_get_counts_down_to_the_clip() -> None:
    waiting = capture(expectedReadyTime=at(12).isoformat())
    late = capture(expectedReadyTime=at(-3).isoformat())
    ready = capture(reason="ClipReady", clip=CLIP, expectedReadyTime=at(12).isoformat())
    found = rows(capture_table([waiting, late, ready], wide=False, now=NOW))
    assert [row["READY-IN"] for row in found] == ["12s", "now", ""]
    assert [row["LENGTH"] for row in found] == ["<none>", "<none>", "1m"]
    assert found[2]["SIZE"] == "5MiB"


def test_wide_says_where_the_clip_lies() -> None:
    (row,) = rows(capture_table([capture(reason="ClipReady", clip=CLIP)], wide=True, now=NOW))
    assert (row["CLIP"], row["HOLES"]) == (CLIP["path"], "0")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12, "Cutting, ready in 12s"), (-3, "Cutting, was expected 3s ago"), (None, "Cutting")],
)
def test_progress_is_a_countdown_to_the_expected_time(seconds: float | None, text: str) -> None:
    status = {} if seconds is None else {"expectedReadyTime": at(seconds).isoformat()}
    assert progress(capture(**status), NOW) == text


def test_a_capture_that_nobody_has_seen_waits_for_the_operator() -> None:
    assert progress(capture(conditions=[]), NOW) == "Waiting for the operator"


def test_the_outcome_is_the_clip_or_the_reason_why_there_is_none() -> None:
    hole = {"start": at(-60).isoformat(), "milliseconds": 900, "reason": "NotRecorded"}
    clip = {**CLIP, "holes": [hole]}
    assert outcome(capture(reason="ClipReady", clip=clip)) == f"ready: 1m, 5MiB, 1 holes, {CLIP['path']}"
    assert outcome(capture(reason="NoMedia")) == "failed: NoMedia: Because."


def test_an_object_is_written_as_the_api_server_has_it_without_its_field_owners() -> None:
    item = buffer_json()
    written = json.loads(one_object(item, Format.JSON))
    assert "managedFields" not in written["metadata"]
    assert written["spec"] == item["spec"]
    assert yaml.safe_load(one_object(item, Format.YAML)) == written
    assert one_object(item, Format.NAME) == "replaybuffer.replaybuffer.dev/alice-screen"


def test_several_objects_are_a_list_or_a_name_a_line() -> None:
    items = [capture_json("a"), capture_json("b")]
    assert json.loads(objects(items, Format.JSON))["kind"] == "List"
    assert objects(items, Format.NAME).splitlines() == [
        "replaycapture.replaybuffer.dev/a",
        "replaycapture.replaybuffer.dev/b",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1023, "1023B"), (1024, "1KiB"), (1536, "1.5KiB"), (3 * 1024**3, "3GiB")],
)
def test_a_size_has_three_digits(count: int, text: str) -> None:
    assert human_bytes(count) == text

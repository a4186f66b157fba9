"""The table of segments behaves as the dictionary that it stands for, and needs a tenth of the memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.agent.segments import EDGE, CompleteSummary, MediaSpan, SegmentFile, SegmentTable
from replay_operator.domain.layout import segment_index
from replay_operator.media.segment_file import FileStamp

EPOCH_NS = 1_795_000_000_000_000_000

stamps = st.builds(
    FileStamp,
    st.integers(0, 2**63 - 1),
    st.integers(EPOCH_NS - 10**15, EPOCH_NS + 10**15),
    st.integers(0, 2**64 - 1),
)
spans = st.builds(MediaSpan, st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15))


@st.composite
def files(draw: st.DrawFn) -> SegmentFile:
    span = draw(st.none() | spans)
    probed = span is not None or draw(st.booleans())
    return SegmentFile(draw(st.integers(0, 30)), draw(stamps), probed=probed, span=span)


steps = st.lists(st.tuples(st.sampled_from(["put", "put", "put", "drop", "copy"]), files()), max_size=60)


@given(steps)
def test_it_holds_what_a_dictionary_would_in_the_order_of_the_index(
    done: list[tuple[str, SegmentFile]],
) -> None:
    table, expected = SegmentTable(), dict[int, SegmentFile]()
    for step, file in done:
        if step == "put":
            table[file.index] = expected[file.index] = file
        elif step == "drop":
            assert table.pop(file.index, None) == expected.pop(file.index, None)
        else:
            before, table = table, table.copy()
            before.clear()
        in_order = [expected[index] for index in sorted(expected)]
        assert list(table.values()) == in_order
        assert list(table) == sorted(expected)
        complete = [file for file in in_order if file.span is not None]
        assert table.complete(first=2) == complete[:2]
        assert_sums_up(table.summary(), complete)
        assert table.complete_indices() == {file.index for file in complete}
        assert table.size_bytes == sum(file.bytes for file in in_order)
        assert (file.index in table) == (file.index in expected)


def assert_sums_up(summary: CompleteSummary | None, complete: list[SegmentFile]) -> None:
    if not complete:
        assert summary is None
        return
    spans = [file.span for file in complete if file.span is not None]
    assert summary == CompleteSummary(
        count=len(complete),
        first_index=complete[0].index,
        last_index=complete[-1].index,
        start_ns=min(span.start_ns for span in spans),
        end_ns=max(span.end_ns for span in spans),
        arrived_at_ns=max(file.arrived_at_ns for file in complete),
        first=tuple(complete[:EDGE]),
        last=tuple(complete[-EDGE:]),
    )


@given(st.dictionaries(st.integers(0, 40), files()), st.sets(st.integers(0, 50)))
def test_what_is_dropped_is_gone_and_its_bytes_are_told(
    held: dict[int, SegmentFile], dropped: set[int]
) -> None:
    by_index = {file.index: file for file in held.values()}
    table = SegmentTable()
    table.update(by_index)

    assert table.drop(dropped) == sum(by_index[index].bytes for index in dropped & by_index.keys())
    assert set(table) == by_index.keys() - dropped


def test_a_file_without_media_counts_for_retention_as_what_came_just_before_it_was_written() -> None:
    table = SegmentTable()
    table[0] = SegmentFile(0, FileStamp(10, 1000, 1), probed=True, span=MediaSpan(5, 7))
    table[1] = SegmentFile(1, FileStamp(20, 2000, 2), probed=True)

    with_clock = [("r", 0, 105, 107, 10), ("r", 1, 1990, 2000, 20)]
    assert table.stored("r", started_at_ns=100, guess_ns=10) == with_clock
    without = [("r", 0, 990, 1000, 10), ("r", 1, 1990, 2000, 20)]
    assert table.stored("r", started_at_ns=None, guess_ns=10) == without


@given(files(), files())
def test_the_newest_segment_differs_when_anything_of_it_does(one: SegmentFile, other: SegmentFile) -> None:
    tables = SegmentTable(), SegmentTable()
    for table, file in zip(tables, (one, other), strict=True):
        table[file.index] = file
    assert (tables[0].newest == tables[1].newest) == (one == other)


def test_a_name_with_more_digits_than_any_worker_writes_is_no_segment() -> None:
    assert segment_index("seg_999999999.ts") == 999_999_999
    assert segment_index("seg_9999999999.ts") is None

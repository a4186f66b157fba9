"""The table of segments behaves as the dictionary that it stands for, and needs a tenth of the memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.agent.segments import MediaSpan, SegmentFile, SegmentTable
from replay_operator.domain.layout import segment_index
from replay_operator.media.segment_file import FileStamp

EPOCH_NS = 1_795_000_000_000_000_000

stamps = st.builds(
    FileStamp,
    st.integers(0, 2**63),
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
        assert table.files() == in_order
        assert list(table.values()) == in_order
        assert list(table) == sorted(expected)
        assert table.complete() == [file for file in in_order if file.span is not None]
        assert table.complete_indices() == {file.index for file in in_order if file.span is not None}
        assert table.newest == (in_order[-1] if in_order else None)
        assert table.bytes == sum(file.bytes for file in in_order)
        assert (file.index in table) == (file.index in expected)


def test_a_name_with_more_digits_than_any_worker_writes_is_no_segment() -> None:
    assert segment_index("seg_999999999.ts") == 999_999_999
    assert segment_index("seg_9999999999.ts") is None

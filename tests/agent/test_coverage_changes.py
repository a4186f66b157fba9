"""Answers that tell only what has changed: whoever follows them knows what a whole answer would tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from replay_operator.agent.coverage import GONE_KEPT, CoverageBook
from replay_operator.agent.segments import MediaSpan, SegmentFile
from replay_operator.agent.state import PlaylistStamp, RunState, VolumeState
from replay_operator.api.agent import BufferCoverage, Coverage, PolicyAck, RunFile
from replay_operator.domain.layout import RunPath
from replay_operator.media.segment_file import FileStamp
from tests.agent.rig import BUFFER, RUN, Rig, make_rig

SCANNED = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = 1_000_000_000


def ask(book: CoverageBook, state: VolumeState, since: str | None = None) -> Coverage:
    return book.coverage(state, scanned_at=SCANNED, policy=PolicyAck(epoch=1, seq=1), since=since)


@dataclass
class Volume:
    """Run states that change as scanner and sweeper change them."""

    state: VolumeState = field(default_factory=VolumeState)
    stamps: int = 0

    def path(self, buffer: int, run: int) -> RunPath:
        return RunPath("team", f"buffer-{buffer}", f"run-{run}")

    def arrives(self, buffer: int, run: int) -> None:
        found = self.state.run(self.path(buffer, run))
        if found is None:
            found = RunState(path=self.path(buffer, run), last_sign_seconds=0.0)
            self.state.add(found)
        index = found.highest_index + 1
        span = MediaSpan(index * SECOND, (index + 1) * SECOND)
        found.segments[index] = SegmentFile(
            index, FileStamp(1000 + index, (index + 2) * SECOND, inode=1), probed=True, span=span
        )
        found.highest_index = index
        self.is_read(found)

    def is_read(self, run: RunState) -> None:
        self.stamps += 1
        run.stamps = (PlaylistStamp(self.stamps, 1), None)

    def is_found_broken(self, buffer: int, run: int) -> None:
        found = self.state.run(self.path(buffer, run))
        if found is not None and found.segments:
            index = max(found.segments)
            found.segments[index] = SegmentFile(index, FileStamp(7, SECOND, inode=1), probed=True, span=None)
            self.is_read(found)

    def loses_oldest(self, buffer: int, run: int) -> None:
        found = self.state.run(self.path(buffer, run))
        if found is not None and found.segments:
            del found.segments[min(found.segments)]

    def ends(self, buffer: int, run: int) -> None:
        found = self.state.run(self.path(buffer, run))
        if found is not None:
            found.ended = True

    def is_told_its_clock(self, buffer: int, run: int) -> None:
        found = self.state.run(self.path(buffer, run))
        if found is not None:
            found.run_file = RunFile(room="r", buffer="b", segment_seconds=1, media_started_at_ns=SECOND)

    def goes(self, buffer: int, run: int) -> None:
        self.state.forget(self.path(buffer, run))

    def buffer_goes(self, buffer: int, _: int) -> None:
        self.state.buffers.pop(self.path(buffer, 0).buffer, None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "arrives",
                "arrives",
                "arrives",
                "is_found_broken",
                "loses_oldest",
                "ends",
                "is_told_its_clock",
                "goes",
                "buffer_goes",
                "ask",
                "lose an answer",
                "restart",
            ]
        ),
        st.integers(0, 1),
        st.integers(0, 1),
    ),
    max_size=40,
)


@given(STEPS)
def test_whoever_follows_the_changes_knows_what_a_whole_look_would_tell(
    steps: list[tuple[str, int, int]],
) -> None:
    volume, book, mark = Volume(), CoverageBook(), None
    followed: dict[str, BufferCoverage] = {}
    for step, buffer, run in [*steps, ("ask", 0, 0)]:
        if step == "restart":
            book = CoverageBook()
        elif step == "lose an answer":
            ask(book, volume.state, mark)
        elif step == "ask":
            answer = ask(book, volume.state, mark)
            followed = {} if answer.since is None else followed
            followed |= {found.path: found for found in answer.buffers}
            for path in answer.gone:
                followed.pop(path, None)
            mark = answer.mark
            fresh = ask(CoverageBook(), volume.state)
            assert followed == {found.path: found for found in fresh.buffers}
        else:
            getattr(volume, step)(buffer, run)


def test_a_buffer_without_news_is_not_told_again() -> None:
    volume, book = Volume(), CoverageBook()
    volume.arrives(0, 0)
    volume.arrives(1, 0)
    first = ask(book, volume.state)
    volume.arrives(1, 0)
    second = ask(book, volume.state, first.mark)
    assert second.since == first.mark
    assert [found.path for found in second.buffers] == ["team/buffer-1"]
    assert ask(book, volume.state, second.mark).buffers == ()


def test_a_reading_that_shows_nothing_new_is_no_news() -> None:
    volume, book = Volume(), CoverageBook()
    volume.arrives(0, 0)
    mark = ask(book, volume.state).mark
    for run in volume.state.runs():
        volume.is_read(run)
    assert ask(book, volume.state, mark).buffers == ()


def test_a_mark_that_this_process_never_gave_gets_the_whole() -> None:
    volume, book = Volume(), CoverageBook()
    volume.arrives(0, 0)
    mark = ask(book, volume.state).mark
    assert mark is not None
    for strange in (ask(CoverageBook(), volume.state).mark, f"{mark}9", f"{mark}.1", mark[:-1], "x", "", "²"):
        answer = ask(book, volume.state, strange)
        assert answer.since is None, strange
        assert len(answer.buffers) == 1


def test_more_vanished_buffers_than_are_kept_cost_a_whole_answer_and_no_memory() -> None:
    volume, book = Volume(), CoverageBook()
    for number in range(GONE_KEPT + 2):
        volume.arrives(number, 0)
    mark = ask(book, volume.state).mark
    for number in range(GONE_KEPT + 1):
        volume.buffer_goes(number, 0)
    answer = ask(book, volume.state, mark)
    assert (answer.since, answer.gone) == (None, ())
    assert len(answer.buffers) == 1
    assert ask(book, volume.state, answer.mark).since == answer.mark


async def test_over_http_only_changes_are_told_and_a_new_agent_tells_the_whole(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(2)
    await rig.agent.scan()
    first = await rig.asked_coverage()
    assert "since" not in first
    assert (await rig.asked_coverage(since=first["mark"]))["buffers"] == []
    writer.record(3)
    await rig.agent.scan()
    second = await rig.asked_coverage(since=first["mark"])
    assert (second["since"], second["gone"]) == (first["mark"], [])
    assert [(b["path"], b["runs"][0]["run"], b["runs"][0]["segments"]) for b in second["buffers"]] == [
        (BUFFER, RUN, 3)
    ]
    await rig.stop()
    fresh = make_rig(rig.volume, rig.token_directory, rig.segments, rig.clock)
    await fresh.start()
    try:
        await fresh.agent.scan()
        answer = await fresh.asked_coverage(since=second["mark"])
        assert "since" not in answer
        assert [b["path"] for b in answer["buffers"]] == [BUFFER]
    finally:
        await fresh.stop()

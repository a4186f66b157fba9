"""What a capture worker answers: any answer fits where it is told, and any text in its place is survived."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay_operator.api.capture_job import (
    MAX_TERMINATION_MESSAGE_BYTES,
    CaptureError,
    CaptureErrorReason,
    CaptureResult,
)
from replay_operator.api.replaycapture import Clip, Clock, Gap, Hole, HoleReason, Track
from replay_operator.cluster.jobs import termination_result
from replay_operator.media.worker import short_answer

UID = "0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f10"
T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def pod(*messages: Any) -> dict[str, Any]:
    ended = [{"state": {"terminated": {"message": message, "finishedAt": "x"}}} for message in messages]
    return {"status": {"initContainerStatuses": ended[:1], "containerStatuses": ended[1:]}}


small = st.integers(0, 10**12)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds of aware ones
words = st.text(max_size=1024)
holes = st.builds(Hole, start=moments, milliseconds=small, reason=st.sampled_from(HoleReason))
gaps = st.builds(Gap, track=st.sampled_from(Track), start=moments, milliseconds=small)
clips = st.builds(
    Clip,
    path=st.just("team-a/user-42/2026-11-22/goal-0d4f7d3c.mp4"),
    bytes=small,
    milliseconds=small,
    start=moments,
    end=moments,
    segments=small,
    runs=small,
    clock=st.sampled_from(Clock),
    holes=st.lists(holes, max_size=64).map(tuple),
    gaps=st.lists(gaps, max_size=64).map(tuple),
)
errors = st.builds(CaptureError, reason=st.sampled_from(CaptureErrorReason), message=words)
WIDE = CaptureError(reason=CaptureErrorReason.JOIN_FAILED, message="\N{GOAL NET}" * 1024)
UNPRINTABLE = CaptureError(reason=CaptureErrorReason.JOIN_FAILED, message="\x00" * 1024)
MANY_HOLES = tuple(
    Hole(start=T0 + timedelta(seconds=n), milliseconds=n, reason=HoleReason.NOT_RECORDED) for n in range(64)
)


@settings(max_examples=60)
@example(CaptureResult(capture_uid=UID, error=WIDE))
@example(CaptureResult(capture_uid=UID, error=UNPRINTABLE))
@given(
    st.one_of(
        clips.map(lambda clip: CaptureResult(capture_uid=UID, clip=clip)),
        errors.map(lambda error: CaptureResult(capture_uid=UID, error=error)),
    )
)
def test_any_answer_fits_the_termination_message_and_comes_out_of_it(result: CaptureResult) -> None:
    message = short_answer(result)
    assert len(message.encode()) <= MAX_TERMINATION_MESSAGE_BYTES
    read = termination_result((pod(message),), UID)
    assert read is not None
    assert (read.clip is None, read.error is None) == (result.clip is None, result.error is None)
    if read.error is not None and result.error is not None:
        assert read.error.reason == result.error.reason
        assert result.error.message.startswith(read.error.message)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200)
@example(message="[" * 2000)
@example(message='{"captureUid": "\\ud800"}')
@example(message=f'{{"captureUid": "{UID}", "clip": {{"bytes": 1e999}}}}')
@given(message=st.text() | values.map(json.dumps) | values)
def test_anything_in_place_of_an_answer_is_no_answer(message: Any) -> None:
    assert termination_result((pod(message),), UID) is None


@settings(max_examples=100)
@given(cut=st.integers(0, 700), clip=clips)
def test_an_answer_that_is_cut_off_is_no_answer(cut: int, clip: Clip) -> None:
    message = short_answer(CaptureResult(capture_uid=UID, clip=clip))
    read = termination_result((pod(message[:cut]),), UID)
    assert read is None or cut >= len(message)

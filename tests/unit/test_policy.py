"""The policy that the agent is told: what to keep of every buffer."""

from __future__ import annotations

from typing import Any

import pytest

from replay_operator.api.agent import Policy
from replay_operator.api.meta import ConditionStatus, set_condition
from replay_operator.api.replaybuffer import ReplayBuffer, ReplayBufferStatus
from replay_operator.api.replaycapture import CaptureSource, ReplayCapture, ReplayCaptureStatus, ResolvedRange
from replay_operator.domain.policy import build_policy, pins_of
from tests.builders import BUFFER_UID, CAPTURE_UID, NAMESPACE, NOW, at, buffer, capture

PATH = f"{NAMESPACE}/{BUFFER_UID}"


def buffer_that(reason: str, status: ConditionStatus = ConditionStatus.FALSE, **spec: Any) -> ReplayBuffer:
    conditions = set_condition((), "Recording", status, reason=reason, message="m", generation=1, now=at(-30))
    return buffer(**spec).model_copy(update={"status": ReplayBufferStatus(conditions=conditions)})


def resolved(*, finished_as: str | None = None, uid: str = CAPTURE_UID) -> ReplayCapture:
    status = ReplayCaptureStatus(
        source=CaptureSource(buffer_uid=BUFFER_UID, path=PATH), range=ResolvedRange(start=at(-60), end=NOW)
    )
    if finished_as is not None:
        conditions = set_condition(
            (), finished_as, ConditionStatus.TRUE, reason="R", message="m", generation=1, now=NOW
        )
        status = status.model_copy(update={"conditions": conditions})
    return capture(uid=uid).model_copy(update={"status": status})


def policy(*buffers: ReplayBuffer, captures: tuple[ReplayCapture, ...] = ()) -> Policy:
    return build_policy(buffers, captures, epoch=7, default_segment_seconds=10)


def test_a_recording_buffer_keeps_its_window_and_two_minutes_of_slack() -> None:
    told = policy(buffer_that("Recording", ConditionStatus.TRUE, windowSeconds=300))
    (line,) = told.buffers
    assert (told.epoch, told.complete) == (7, True)
    assert (line.path, line.window_seconds, line.slack_seconds, line.segment_seconds) == (PATH, 300, 120, 6)
    assert (line.frozen_at, line.expires_at, line.pins) == (None, None, ())


@pytest.mark.parametrize("reason", ["SourceGone", "Suspended", "Ended"])
def test_a_buffer_that_has_ended_is_frozen_then_and_expires_later(reason: str) -> None:
    (line,) = policy(buffer_that(reason, keepAfterEndSeconds=90)).buffers
    assert (line.frozen_at, line.expires_at) == (at(-30), at(60))


@pytest.mark.parametrize(
    "reason", ["Starting", "RunSilent", "WaitingForSource", "WaitingForCapacity", "WaitingForLiveKit"]
)
def test_a_buffer_that_pauses_is_neither_frozen_nor_expires(reason: str) -> None:
    (line,) = policy(buffer_that(reason)).buffers
    assert (line.frozen_at, line.expires_at) == (None, None)


def test_a_buffer_whose_recording_is_unknown_is_not_frozen() -> None:
    (line,) = policy(buffer_that("CoverageUnknown", ConditionStatus.UNKNOWN)).buffers
    assert line.frozen_at is None


def test_a_buffer_that_nobody_has_looked_at_yet_is_named() -> None:
    (line,) = policy(buffer(segmentSeconds=None)).buffers
    assert (line.path, line.segment_seconds) == (PATH, 10)


def test_the_segment_length_in_force_wins_over_the_wished_one() -> None:
    changed = buffer(segmentSeconds=12).model_copy(update={"status": ReplayBufferStatus(segment_seconds=6)})
    (line,) = policy(changed).buffers
    assert line.segment_seconds == 6


def test_an_unfinished_capture_pins_its_range() -> None:
    (line,) = policy(buffer(), captures=(resolved(),)).buffers
    (pin,) = line.pins
    assert (pin.capture_uid, pin.start, pin.end) == (CAPTURE_UID, at(-60), NOW)


@pytest.mark.parametrize("finished_as", ["Ready", "Stalled"])
def test_a_finished_capture_pins_nothing(finished_as: str) -> None:
    assert pins_of([resolved(finished_as=finished_as)]) == {}


def test_a_capture_without_a_range_pins_nothing() -> None:
    assert pins_of([capture()]) == {}


def test_a_deleted_buffer_keeps_a_line_as_long_as_a_capture_needs_it() -> None:
    (line,) = policy(captures=(resolved(),)).buffers
    assert (line.path, line.window_seconds) == (PATH, 0)
    assert len(line.pins) == 1
    assert policy(captures=(resolved(finished_as="Ready"),)).buffers == ()


def test_the_same_objects_in_another_order_give_the_same_policy() -> None:
    one, two = buffer(), buffer(uid="0ther000-0000-4000-8000-000000000009", name="other")
    pin, other = resolved(), resolved(uid="0ther000-0000-4000-8000-00000000000a")
    assert policy(one, two, captures=(pin, other)) == policy(two, one, captures=(other, pin))


def test_a_buffer_may_take_twice_what_its_encoding_and_the_container_come_to() -> None:
    (line,) = policy(buffer(windowSeconds=480, encoding={"preset": "H264_1080P_60"})).buffers
    # 6128 kbit/s and 192 kbit/s of MPEG-TS, for 480 s and 120 s of slack, twice.
    assert line.max_bytes == 2 * 600 * (766_000 + 24_000)


def test_captures_that_may_still_write_are_named_and_finished_ones_are_not() -> None:
    told = policy(captures=(capture(uid="b"), capture(uid="a"), resolved(finished_as="Ready", uid="c")))
    assert told.live_captures == ("a", "b")


def test_what_cannot_be_read_makes_nothing_an_orphan() -> None:
    """Another version wrote it: its directory, its unfinished clips, are somebody's."""
    told = build_policy((), (), epoch=7, default_segment_seconds=10, names_all_buffers=False)
    assert (told.complete, told.live_captures) == (False, ())
    told = build_policy((), (), epoch=7, default_segment_seconds=10, names_all_captures=False)
    assert (told.complete, told.live_captures) == (True, None)

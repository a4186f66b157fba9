from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.kubectl import save, start
from replay_operator.kubectl.names import capture_name, object_name

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 123_456, tzinfo=UTC)


def test_what_a_participant_shows_is_recorded_with_its_own_sound() -> None:
    body = start.buffer_body(start.Wish("standup", "alice"))
    assert body["metadata"]["name"] == "standup-alice-screen"
    assert body["spec"] == {
        "room": "standup",
        "source": {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "ScreenShareAudio"}},
    }


def test_a_camera_comes_with_the_microphone_and_another_name() -> None:
    body = start.buffer_body(start.Wish("standup", "alice", video="Camera", preset="H264_1080P_30"))
    assert body["metadata"]["name"] == "standup-alice-camera"
    assert body["spec"]["source"]["participant"]["audio"] == "Microphone"
    assert body["spec"]["encoding"] == {"preset": "H264_1080P_30"}


def test_a_track_that_is_not_wanted_is_left_out() -> None:
    quiet = start.buffer_body(start.Wish("r", "a", audio="None"))["spec"]["source"]["participant"]
    voice = start.buffer_body(start.Wish("r", "a", video="None"))["spec"]["source"]["participant"]
    assert quiet == {"identity": "a", "video": "ScreenShare"}
    assert voice == {"identity": "a", "audio": "Microphone"}


def test_lengths_are_whole_seconds_in_the_resource() -> None:
    wish = start.Wish("r", "a", window=timedelta(minutes=10), segment=timedelta(seconds=4), keep=timedelta())
    spec = start.buffer_body(wish)["spec"]
    assert (spec["windowSeconds"], spec["segmentSeconds"], spec["keepAfterEndSeconds"]) == (600, 4, 0)


def test_the_moment_of_a_capture_has_milliseconds() -> None:
    body = save.capture_body(save.Wish("alice", timedelta(minutes=5), post=timedelta(seconds=15)), MOMENT)
    assert body["spec"] == {
        "bufferRef": {"name": "alice"},
        "range": {"last": {"seconds": 300, "until": "2026-01-31T12:00:00.123Z", "postRollSeconds": 15}},
    }
    assert body["metadata"]["name"] == "alice-20260131-120000-123"


def test_what_is_wished_of_a_capture_is_in_its_spec() -> None:
    wish = save.Wish(
        "alice", timedelta(seconds=9), title="Goal", thumbnail=False, tail="Flush", ttl=timedelta(days=1)
    )
    spec = save.capture_body(wish, MOMENT)["spec"]
    assert spec["output"] == {"title": "Goal", "thumbnail": False}
    assert (spec["tail"], spec["ttlSecondsAfterFinished"]) == ("Flush", 86400)


@pytest.mark.parametrize("ahead", [-2.0, -0.9, 0.0, 1.9])
def test_clocks_that_agree_are_not_remarked_on(ahead: float) -> None:
    assert save.clock_remark(MOMENT, MOMENT + timedelta(seconds=ahead)) is None


@pytest.mark.parametrize(("ahead", "words"), [(30, "30s ahead of"), (-90, "1m30s behind")])
def test_a_clock_that_is_off_is_remarked_on(ahead: float, words: str) -> None:
    assert words in (save.clock_remark(MOMENT, MOMENT + timedelta(seconds=ahead)) or "")


def test_a_name_that_kubernetes_takes_stays_as_it_is() -> None:
    assert object_name("standup", "alice", "screen") == "standup-alice-screen"


def test_names_that_differ_only_in_letters_that_kubernetes_refuses_stay_apart() -> None:
    names = {object_name(room, "alice") for room in ("stand up", "stand_up", "Stand-Up", "stand-up")}
    assert len(names) == 4


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_any_words_make_a_name_that_kubernetes_takes(words: list[str]) -> None:
    name = object_name(*words)
    assert len(name) <= 63
    assert name.isascii()
    assert name.replace("-", "a").isalnum()
    assert name == name.lower().strip("-")


def test_the_name_of_a_capture_of_a_long_buffer_is_not_too_long() -> None:
    assert len(capture_name("b" * 253, MOMENT)) <= 253

"""The news of an outcome: what it says, how it is signed, how long it is tried."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from replay_operator.domain.notification import (
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    News,
    news_of,
    next_try,
    signed_headers,
    signing_key,
)
from replay_operator.domain.status_contract import CaptureState
from tests.builders import CAPTURE_UID, NOW, at
from tests.unit.test_capture_end import finished
from tests.unit.test_capture_lifecycle import clip


def test_a_clip_is_told_with_its_place_and_its_times() -> None:
    done = finished()
    done = done.model_copy(update={"status": done.status.model_copy(update={"clip": clip()})})
    news = news_of(done)
    told = json.loads(news.body)
    assert news.key == f"{CAPTURE_UID}.ready"
    assert (told["type"], told["timestamp"]) == ("replaycapture.ready", "2026-11-23T12:00:10Z")
    assert (told["data"]["name"], told["data"]["uid"], told["data"]["buffer"]) == (
        "goal",
        CAPTURE_UID,
        "alice-screen",
    )
    assert told["data"]["clip"]["path"] == clip().path
    assert "reason" not in told["data"]


def test_a_failure_is_told_with_its_reason() -> None:
    news = news_of(finished(CaptureState.FAILED))
    told = json.loads(news.body)
    assert news.key == f"{CAPTURE_UID}.failed"
    assert told["type"] == "replaycapture.failed"
    assert (told["data"]["reason"], told["data"]["message"]) == ("R", "m")


def test_the_same_news_is_the_same_bytes_under_the_same_key_each_time() -> None:
    assert news_of(finished()) == news_of(finished())


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The test vector of the Standard Webhooks specification's own libraries."""
    news = News(key="msg_p5jXN8AQM9LWM0D4loKWxJek", body=b'{"test": 2432232314}')
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(news, secret=secret, now=NOW.fromtimestamp(1614265330, NOW.tzinfo))
    assert headers["webhook-id"] == news.key
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_any_text_is_a_secret() -> None:
    news = News(key="k", body=b"{}")
    headers = signed_headers(news, secret="correct horse", now=NOW)
    said = f"k.{int(NOW.timestamp())}.{{}}".encode()
    expected = base64.b64encode(hmac.new(b"correct horse", said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_secret_that_promises_base64_must_be_it() -> None:
    with pytest.raises(ValueError, match=r"base64|[Pp]adding|alphabet|Invalid"):
        signing_key("whsec_not base64!")


def test_it_is_tried_less_and_less_often_and_for_an_hour_only() -> None:
    done = finished()  # at 10 s
    now, pauses = at(10), []
    while (again := next_try(done, len(pauses) + 1, now)) is not None:
        pauses.append(again - now)
        now = again
    assert pauses[:4] == [timedelta(seconds=s) for s in (1, 2, 4, 8)]
    assert max(pauses) == LONGEST_PAUSE
    assert now <= at(10) + GIVE_UP_AFTER < now + LONGEST_PAUSE

"""Reading webhooks: recorded ones signed anew, and forged ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import jwt
import pytest

from replay_operator.livekit.webhooks import Hint, WebhookRefused, WebhookUnreadable, WebhookVerifier
from tests.livekit.server import API_KEY, API_SECRET
from tests.livekit.signed_webhooks import (
    BODY,
    RECORDED,
    WORKER_DEATHS,
    WRONG_SECRET,
    Json,
    claims_for,
    of_recorded,
    token_for,
)


@pytest.fixture
def verifier() -> WebhookVerifier:
    return WebhookVerifier(API_KEY, API_SECRET)


def hint_of(verifier: WebhookVerifier, record: Json) -> Hint:
    body = record["raw_body"].encode()
    return verifier.read(body, token_for(body))


# What webhooks hint at


@pytest.mark.parametrize(
    "event",
    ["room_started", "participant_joined", "participant_left", "track_published", "track_unpublished"],
)
def test_what_happens_in_a_room_hints_at_the_room(verifier: WebhookVerifier, event: str) -> None:
    assert hint_of(verifier, of_recorded(event)) == Hint(rooms=frozenset({"room1"}))


def test_the_end_of_a_room_hints_at_the_room(verifier: WebhookVerifier) -> None:
    assert hint_of(verifier, of_recorded("room_finished")) == Hint(rooms=frozenset({"room2"}))


def test_what_happens_to_an_egress_hints_at_the_egress_alone(verifier: WebhookVerifier) -> None:
    records = [record for record in RECORDED if record["event"].startswith("egress_")]
    hints = {(record["event"], hint_of(verifier, record)) for record in records}
    assert hints == {
        ("egress_started", Hint(egress_ids=frozenset({"EG_ABpi5EufnjKj"}))),
        ("egress_updated", Hint(egress_ids=frozenset({"EG_ERxjFpuwJdUy"}))),
        ("egress_ended", Hint(egress_ids=frozenset({"EG_ERxjFpuwJdUy"}))),
        ("egress_ended", Hint(egress_ids=frozenset({"EG_BKRcceoJSDAd"}))),
    }


@pytest.mark.parametrize("event", ["participant_joined", "participant_left"])
def test_an_egress_that_comes_or_goes_by_itself_wakes_no_room_and_suspects_nobody(
    verifier: WebhookVerifier, event: str
) -> None:
    hint = hint_of(verifier, of_recorded(event, kind="EGRESS"))
    assert hint == Hint(egress_ids=frozenset({"EG_uittqz2iieqA"}))


def test_an_egress_that_left_because_it_was_killed_makes_its_worker_suspect(
    verifier: WebhookVerifier,
) -> None:
    assert [hint_of(verifier, record) for record in WORKER_DEATHS] == [
        Hint(egress_ids=frozenset({id_}), worker_suspected_dead=True)
        for id_ in ("EG_Ri8XUvUqGNsN", "EG_H7F8zR225ygH", "EG_YuFSsPw5Bx4R")
    ]


@pytest.mark.parametrize("kind", [None, "EGRESS"])
def test_an_event_that_concerns_no_recording_hints_at_nothing(
    verifier: WebhookVerifier, kind: str | None
) -> None:
    assert hint_of(verifier, of_recorded("participant_connection_aborted", kind=kind)).is_empty


def test_an_event_of_a_newer_livekit_hints_at_nothing(verifier: WebhookVerifier) -> None:
    body = b'{"event":"room_teleported", "room":{"name":"room1"}, "neverHeardOf":{"a":1}}'
    assert verifier.read(body, token_for(body)).is_empty


# Who may send them


def test_a_token_may_carry_the_word_bearer(verifier: WebhookVerifier) -> None:
    assert verifier.read(BODY, f"Bearer {token_for(BODY)}") == Hint(rooms=frozenset({"room1"}))


FORGED: dict[str, Callable[[], str]] = {
    "signed with another secret": lambda: token_for(BODY, secret=WRONG_SECRET),
    "signed by another key": lambda: token_for(BODY, iss="another-key"),
    "for another body": lambda: token_for(BODY + b" "),
    "outdated by more than the clocks may differ": lambda: token_for(BODY, exp=int(time.time()) - 61),
    "not valid yet": lambda: token_for(BODY, nbf=int(time.time()) + 3600),
    "without a hash": lambda: token_for(BODY, sha256=""),
    "with a hash that is none": lambda: token_for(BODY, sha256="*"),
    "not signed at all": lambda: jwt.encode(claims_for(BODY), None, algorithm="none"),
    "no token": lambda: "let me in",
    "with letters that no header has": lambda: "\udcff",
    "absent": str,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_webhook_is_refused_whose_token_is(verifier: WebhookVerifier, forge: Callable[[], str]) -> None:
    with pytest.raises(WebhookRefused):
        verifier.read(BODY, forge())


def test_a_refusal_tells_neither_secret_nor_token(verifier: WebhookVerifier) -> None:
    token = token_for(BODY + b" ")
    with pytest.raises(WebhookRefused) as refused:
        verifier.read(BODY, token)
    told = f"{refused.value} {verifier!r}"
    assert API_SECRET not in told
    assert token not in told


@pytest.mark.parametrize("body", [b"", b"hello", b"[1]", b'{"event":7}', b"\xff\xfe"])
def test_what_is_signed_and_no_webhook_is_unreadable(verifier: WebhookVerifier, body: bytes) -> None:
    with pytest.raises(WebhookUnreadable):
        verifier.read(body, token_for(body))

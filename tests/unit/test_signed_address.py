"""Signed addresses: what is forged, expired, or of something else is refused, and no key is ever shown."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.signed_address import (
    LONGEST_SECONDS,
    AddressRefusedError,
    Scope,
    SigningKey,
    WeakKeyError,
    check_address,
    signed_query,
)

NOW = datetime(2026, 11, 23, 14, 0, 0, 500_000, tzinfo=UTC)
KEY = SigningKey(b"a-secret-that-nobody-guesses-0001")
NEXT_KEY = SigningKey(b"a-secret-that-nobody-guesses-0002")
BUFFER = Scope("buffer", "0d4f7d3c-6c8e-4f65-9df2-3a1f0f8f7f10")
CLIP = Scope("clip", "team-a/user-42/2026-11-22/goal-0d4f7d3c.mp4")


def address(
    key: SigningKey = KEY, scope: Scope = BUFFER, *, lives: timedelta = timedelta(minutes=5)
) -> dict[str, str]:
    return dict(parse_qsl(signed_query(key, scope, NOW + lives)))


@pytest.mark.parametrize("scope", [BUFFER, CLIP])
def test_an_address_opens_what_it_was_made_for(scope: Scope) -> None:
    check_address([KEY], scope, address(scope=scope), NOW)


def test_it_opens_nothing_after_its_time() -> None:
    query = address()
    check_address([KEY], BUFFER, query, NOW + timedelta(seconds=299))
    with pytest.raises(AddressRefusedError, match="expired"):
        check_address([KEY], BUFFER, query, NOW + timedelta(seconds=300))


@pytest.mark.parametrize(
    "other",
    [
        Scope("buffer", "11111111-6c8e-4f65-9df2-3a1f0f8f7f10"),
        Scope("clip", BUFFER.subject),
        Scope("buffer", ""),
        CLIP,
    ],
)
def test_it_opens_nothing_else(other: Scope) -> None:
    with pytest.raises(AddressRefusedError, match="does not open this"):
        check_address([KEY], other, address(), NOW)


def test_its_time_cannot_be_made_longer() -> None:
    query = address()
    query["expires"] = str(int(query["expires"]) + 60)
    with pytest.raises(AddressRefusedError, match="does not open this"):
        check_address([KEY], BUFFER, query, NOW)


def test_a_key_of_somebody_else_opens_nothing() -> None:
    with pytest.raises(AddressRefusedError, match="does not open this"):
        check_address([KEY], BUFFER, address(NEXT_KEY), NOW)


def test_without_a_key_nothing_opens() -> None:
    with pytest.raises(AddressRefusedError):
        check_address([], BUFFER, address(), NOW)


def test_two_keys_are_accepted_while_one_takes_the_place_of_the_other() -> None:
    for signer in (KEY, NEXT_KEY):
        check_address([NEXT_KEY, KEY], BUFFER, address(signer), NOW)
    with pytest.raises(AddressRefusedError):
        check_address([NEXT_KEY], BUFFER, address(KEY), NOW)


def test_an_address_for_longer_than_any_window_is_refused_also_when_it_is_signed() -> None:
    check_address([KEY], BUFFER, address(lives=timedelta(seconds=LONGEST_SECONDS)), NOW)
    with pytest.raises(AddressRefusedError, match="more than"):
        check_address([KEY], BUFFER, address(lives=timedelta(seconds=LONGEST_SECONDS + 2)), NOW)


@given(expires=st.text(max_size=20), signature=st.text(max_size=60))
def test_nothing_that_is_made_up_is_let_in_or_does_harm(expires: str, signature: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_address([KEY], BUFFER, {"expires": expires, "signature": signature}, NOW)


@given(place=st.integers(0, 42), letter=st.sampled_from("ABab01-_"))
def test_no_letter_of_a_signature_can_be_changed(place: int, letter: str) -> None:
    query = address()
    changed = query["signature"][:place] + letter + query["signature"][place + 1 :]
    if changed == query["signature"]:
        return
    with pytest.raises(AddressRefusedError):
        check_address([KEY], BUFFER, query | {"signature": changed}, NOW)


@pytest.mark.parametrize(
    "expires", ["-1", "0", "+1795352700", " 1795352700", "1e9", "\uff11\uff17", "9" * 13]
)
def test_only_plain_digits_are_a_time(expires: str) -> None:
    with pytest.raises(AddressRefusedError):
        check_address([KEY], BUFFER, address() | {"expires": expires}, NOW)


def test_names_that_are_no_text_are_told_apart() -> None:
    assert signed_query(KEY, Scope("clip", "a\udcff"), NOW) != signed_query(KEY, Scope("clip", "a?"), NOW)


def test_a_line_break_in_a_name_makes_no_other_scope() -> None:
    first = signed_query(KEY, Scope("clip", "a\nb"), NOW)
    assert first != signed_query(KEY, Scope("clip", "a"), NOW)
    with pytest.raises(AddressRefusedError):
        check_address([KEY], Scope("buffer", "a"), dict(parse_qsl(first)), NOW)


def test_it_is_signed_as_the_page_about_operations_says() -> None:
    expires = str(int(NOW.timestamp()) + 60)
    signed = f"replay-operator/signed-address/1\n{expires}\nbuffer\n{BUFFER.subject}"
    digest = hmac.new(KEY.secret, signed.encode(), "sha256").digest()
    signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    check_address([KEY], BUFFER, {"expires": expires, "signature": signature}, NOW)


def test_a_key_is_never_shown_and_a_short_one_is_refused() -> None:
    assert "nobody" not in f"{KEY!r} {KEY} {[KEY]}"
    with pytest.raises(WeakKeyError, match="needs 32") as refused:
        SigningKey(b"hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_refusal_repeats_nothing_of_the_address() -> None:
    query = address(NEXT_KEY)
    with pytest.raises(AddressRefusedError) as refused:
        check_address([KEY], BUFFER, query, NOW)
    assert query["signature"] not in str(refused.value)

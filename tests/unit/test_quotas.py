"""What one owner may have, and what is said to who wants more."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.replaybuffer import Encoding, EncodingPreset
from replay_operator.api.replaycapture import ResolvedRange
from replay_operator.domain.quotas import (
    MINUTE,
    OwnerAccount,
    Quota,
    QuotaLimits,
    QuotaRefusal,
    account_of,
    admit_capture,
    reservation_bytes,
)
from replay_operator.domain.token_bucket import Rate, TokenBucket
from tests.builders import NOW, at

THREE_A_MINUTE = QuotaLimits(captures_per_minute=3, captures_per_hour=15)


def admitted(
    account: OwnerAccount, limits: QuotaLimits, uid: str, size: int = 10, when: datetime = NOW
) -> OwnerAccount:
    result = admit_capture(account, limits, uid=uid, needed_bytes=size, now=when)
    assert isinstance(result, OwnerAccount)
    return result


def refused(
    account: OwnerAccount, limits: QuotaLimits, uid: str, size: int = 10, when: datetime = NOW
) -> QuotaRefusal:
    result = admit_capture(account, limits, uid=uid, needed_bytes=size, now=when)
    assert isinstance(result, QuotaRefusal)
    return result


def test_an_owner_has_the_defaults_where_it_has_no_limit_of_its_own() -> None:
    own = QuotaLimits(archive_bytes=0, captures_per_hour=100)
    assert own.or_else(QuotaLimits(archive_bytes=5, buffers=2, captures_per_minute=3)) == QuotaLimits(
        0, 2, 3, 100
    )


def test_without_limits_everything_is_admitted_and_still_counted() -> None:
    account = OwnerAccount()
    for number in range(100):
        account = admitted(account, QuotaLimits(), f"c{number}")
    assert account.used_bytes == 1000


def test_captures_at_the_same_time_cannot_overrun_the_archive_together() -> None:
    limits = QuotaLimits(archive_bytes=25)
    account = admitted(admitted(OwnerAccount(), limits, "a"), limits, "b")
    assert refused(account, limits, "c") == QuotaRefusal(Quota.ARCHIVE_BYTES, used=20, limit=25, try_at=None)


def test_a_clip_that_fits_exactly_is_admitted() -> None:
    assert admitted(OwnerAccount(archived_bytes=15), QuotaLimits(archive_bytes=25), "a").used_bytes == 25


def test_a_capture_that_asks_twice_is_counted_once() -> None:
    limits = QuotaLimits(archive_bytes=10, captures_per_minute=1)
    account = admitted(OwnerAccount(), limits, "a")
    assert admitted(account, limits, "a") is account


def test_a_refused_capture_takes_no_token() -> None:
    limits = QuotaLimits(archive_bytes=10, captures_per_minute=1)
    refused(OwnerAccount(), limits, "large", 11)
    admitted(OwnerAccount(), limits, "small")


def test_over_the_rate_it_is_said_when_to_try_again_and_then_it_is_admitted() -> None:
    account = OwnerAccount()
    for number in range(3):
        account = admitted(account, THREE_A_MINUTE, f"c{number}")
    refusal = refused(account, THREE_A_MINUTE, "d", when=at(5))
    assert refusal == QuotaRefusal(Quota.CAPTURES_PER_MINUTE, used=3, limit=3, try_at=at(20))
    assert refusal.try_at is not None
    refused(account, THREE_A_MINUTE, "d", when=refusal.try_at - timedelta(milliseconds=1))
    admitted(account, THREE_A_MINUTE, "d", when=refusal.try_at)


def test_the_limit_that_lasts_longest_is_named() -> None:
    limits = QuotaLimits(captures_per_minute=2, captures_per_hour=2)
    account = admitted(admitted(OwnerAccount(), limits, "a"), limits, "b")
    refusal = refused(account, limits, "c")
    assert (refusal.quota, refusal.try_at) == (Quota.CAPTURES_PER_HOUR, at(1800))


def test_who_may_make_none_is_given_no_time_to_come_back() -> None:
    refusal = refused(OwnerAccount(), QuotaLimits(captures_per_minute=0, captures_per_hour=5), "a")
    assert (refusal.quota, refusal.try_at) == (Quota.CAPTURES_PER_MINUTE, None)


def test_tokens_are_not_fresh_after_a_restart() -> None:
    account = OwnerAccount()
    for number in range(3):
        account = admitted(account, THREE_A_MINUTE, f"c{number}", when=at(number))
    rebuilt = account_of(
        THREE_A_MINUTE, archived_bytes=0, pending=account.reserved, admitted_at=[at(2), at(0), at(1)]
    )
    assert rebuilt == account


def test_what_was_made_under_a_wider_limit_takes_all_tokens_and_owes_none() -> None:
    tighter = QuotaLimits(captures_per_minute=0, captures_per_hour=1)
    times = [at(number) for number in range(15)]
    account = account_of(tighter, archived_bytes=0, pending={}, admitted_at=times)
    refusal = refused(account, QuotaLimits(captures_per_hour=1), "a", when=at(20))
    assert (refusal.used, refusal.try_at) == (1, at(14 + 3600))


def test_what_is_reserved_covers_the_range_and_a_segment_at_either_end() -> None:
    encoding = Encoding(preset=EncodingPreset.H264_1080P_60)
    assert reservation_bytes(encoding, ResolvedRange(start=NOW, end=at(80)), 10) == 766_000 * 100


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (QuotaRefusal(Quota.ARCHIVE_BYTES, 20, 25, None), "20 of 25 bytes.*delete clips"),
        (QuotaRefusal(Quota.CAPTURES_PER_MINUTE, 3, 3, at(20)), "3 a minute.*at 2026-11-23T12:00:20Z"),
        (QuotaRefusal(Quota.CAPTURES_PER_HOUR, 0, 0, None), "0 an hour are allowed\\.$"),
    ],
)
def test_a_refusal_says_what_is_used_what_is_allowed_and_what_to_do(
    refusal: QuotaRefusal, sentence: str
) -> None:
    assert re.search(f"^Owner user-42 .*{sentence}", refusal.message("user-42"))


@given(st.integers(1, 50), st.lists(st.integers(0, 120_000), max_size=120))
def test_never_more_than_a_burst_and_what_came_back_since(number: int, milliseconds: list[int]) -> None:
    rate, bucket, taken = Rate(number, MINUTE), TokenBucket(), list[datetime]()
    for moment in sorted(NOW + timedelta(milliseconds=ms) for ms in milliseconds):
        if bucket.next_at(rate, moment) == moment:
            bucket = bucket.taken(rate, moment)
            taken.append(moment)
        assert 0 <= bucket.used(rate, moment) <= number
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            came_back = (taken[last] - start) // rate.each
            assert last - first + 1 <= number + came_back + 1


@given(
    st.integers(0, 200),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.sampled_from(["ask", "done", "failed"]))),
)
def test_clips_that_keep_to_their_reservation_never_overrun_the_quota(
    most: int, history: list[tuple[int, int, str]]
) -> None:
    limits, archived, pending = QuotaLimits(archive_bytes=most), 0, dict[str, int]()
    for number, size, what in history:
        uid = f"c{number}"
        account = account_of(limits, archived_bytes=archived, pending=pending, admitted_at=())
        if what == "ask":
            result = admit_capture(account, limits, uid=uid, needed_bytes=size, now=NOW)
            pending = dict(result.reserved) if isinstance(result, OwnerAccount) else pending
        elif uid in pending:
            reserved = pending.pop(uid)
            archived += min(size, reserved) if what == "done" else 0
        assert archived + sum(pending.values()) <= most

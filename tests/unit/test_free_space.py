"""How much has to go for the floor, and when a volume will be full."""

from __future__ import annotations

import pytest

from replay_operator.domain.free_space import (
    SETTLE_SECONDS,
    Freed,
    FreeSample,
    Space,
    bytes_to_free,
    parse_floor,
    seconds_to_full,
)

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "of_a_volume_of_100_gib"),
    [
        ("5%", 5 * GIB),
        ("0%", 0),
        ("0", 0),
        ("0.5%", GIB // 2),
        ("2Gi", 2 * GIB),
        ("1.5Gi", GIB * 3 // 2),
        ("500M", 500_000_000),
        ("123", 123),
    ],
)
def test_a_floor_is_a_share_or_bytes(text: str, of_a_volume_of_100_gib: int) -> None:
    assert parse_floor(text).bytes_of(100 * GIB) == of_a_volume_of_100_gib


def test_a_share_of_a_very_large_volume_is_no_more_than_ten_gib_and_bytes_are_what_they_are() -> None:
    assert parse_floor("5%").bytes_of(100_000 * GIB) == 10 * GIB
    assert parse_floor("50Gi").bytes_of(100_000 * GIB) == 50 * GIB


@pytest.mark.parametrize("text", ["", "5 %", "-1", "lots", "51%", "5m", "1e3", "5%%"])
def test_what_is_no_amount_of_free_space_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValueError, match="use "):
        parse_floor(text)


def needed(free: int, *, floor: int = 1000, freed: Freed | None = None, now: float = 100.0) -> int:
    return bytes_to_free(Space(10_000, free), floor_bytes=floor, freed=freed, now_seconds=now)


def test_nothing_has_to_go_while_the_floor_is_free() -> None:
    assert needed(1000) == 0
    assert needed(0, floor=0) == 0


def test_a_round_frees_a_tenth_more_than_the_floor_asks_for() -> None:
    assert needed(900) == 100 + 100


def test_what_was_just_deleted_counts_as_free_though_the_file_system_does_not_show_it_yet() -> None:
    freed = Freed(at_seconds=100.0, free_before_bytes=900, deleted_bytes=200)
    assert needed(900, freed=freed, now=101) == 0
    assert needed(900, freed=freed, now=100 + SETTLE_SECONDS) == 200


def test_below_half_of_the_floor_nothing_is_waited_for() -> None:
    freed = Freed(at_seconds=100.0, free_before_bytes=900, deleted_bytes=200)
    assert needed(499, freed=freed, now=101) == 501 + 100


def samples(*free: int, every_seconds: float = 10) -> list[FreeSample]:
    return [FreeSample(50 + every_seconds * number, free_bytes) for number, free_bytes in enumerate(free)]


def test_a_volume_that_loses_a_byte_a_second_is_full_when_its_last_bytes_are_gone() -> None:
    assert seconds_to_full(samples(1000, 990, 980)) == pytest.approx(980)


def test_one_burst_does_not_make_the_forecast() -> None:
    forecast = seconds_to_full(samples(1000, 990, 890, 970, 960))
    assert forecast == pytest.approx(960, rel=0.3)


@pytest.mark.parametrize("free", [(), (1000,), (1000, 1000), (900, 1000), (1000, 900, 1000, 1100)])
def test_a_volume_that_does_not_fill_has_no_forecast(free: tuple[int, ...]) -> None:
    assert seconds_to_full(samples(*free)) is None


def test_two_looks_at_one_moment_tell_nothing() -> None:
    assert seconds_to_full(samples(1000, 900, every_seconds=0)) is None

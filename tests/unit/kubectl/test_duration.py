from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.kubectl.duration import age, exact, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1h2m3s", 3723), ("0s", 0), ("120m", 7200)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5min", "-5m", "m", "30s5m", "1.5h", "5 m", "1d", "\uff15m", "9999999h"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write 90s, 5m or 1h30m"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**7))
def test_an_exact_duration_is_read_back_as_it_was(seconds: int) -> None:
    assert parse_duration(exact(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (601, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 1200, "3h20m"),
        (12 * 3600 + 1200, "12h"),
        (50 * 3600, "2d2h"),
        (30 * 86400 + 3600, "30d"),
    ],
)
def test_an_age_reads_as_kubectl_writes_it(seconds: int, text: str) -> None:
    assert age(timedelta(seconds=seconds)) == text

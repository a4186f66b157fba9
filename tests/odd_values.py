"""Values for generated requests: the usual, the extreme, and what has broken something once."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

EXTREME_MOMENTS = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "1677-09-21T00:12:43Z",
    "1970-01-01T00:00:00Z",
    "2262-04-11T23:47:17Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-23:59",
]

moments = st.sampled_from(EXTREME_MOMENTS) | st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.isoformat()
)

numbers = st.one_of(
    st.integers(-3, 20),
    st.sampled_from([2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**18, 10**40, -(10**40)]),
    st.integers(),
)

NASTY_PARTS = [
    "..",
    ".",
    "",
    "%2e%2e",
    "%2F",
    "%2e%2e%2f%2e%2e",
    "..%2f..%2fsecret",
    "%00",
    "a%00b",
    "%ff",
    "%c0%ae%c0%ae",
    "%ed%a0%80",
    "%5c..%5c",
    "%E2%80%AE",
    "%",
    "%zz",
    "a" * 300,
    ".hidden",
    "-x",
    "~",
    "seg_00001.ts",
    "con%0d%0ax",
]

path_parts = st.sampled_from(NASTY_PARTS) | st.text(min_size=1, max_size=12).map(
    lambda text: quote(text.encode(errors="replace"), safe="")
)

scalars = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=20) | moments

anything: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

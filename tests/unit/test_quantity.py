"""Sizes as Kubernetes writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.quantity import GIB, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("20Gi", 20 * GIB),
        ("1.5Ti", 1536 * GIB),
        ("100G", 100 * 10**9),
        ("512Mi", 2**29),
        ("1e9", 10**9),
        ("12E", 12 * 10**18),
        ("1k", 1000),
        ("1Ki", 1024),
        ("0.5", 1),
    ],
)
def test_a_quantity_is_read_as_the_api_server_reads_it(text: str, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize("text", ["", "lots", "20GB", "20 Gi", "-1Gi", "Gi", "1ki", "1K"])
def test_what_is_no_quantity_of_storage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity of storage"):
        parse_quantity(text)


@given(st.integers(0, 10**18))
def test_what_is_written_is_read_again_as_the_same_size(size: int) -> None:
    assert parse_quantity(format_quantity(size)) == size


def test_whole_gibibytes_are_written_as_people_write_them() -> None:
    assert format_quantity(30 * GIB) == "30Gi"

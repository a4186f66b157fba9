"""How a clip is cut into parts, and which of them need not be sent again."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.domain.upload_parts import (
    MOST_PARTS,
    USUAL_PART_BYTES,
    Part,
    SentPart,
    composite_checksum,
    in_base64,
    is_there,
    oldest_upload,
    part_bytes,
    parts_of,
    same_checksum,
)

LARGEST_CLIP_BYTES = 2**40
ONE, TWO = (hashlib.sha256(text).digest() for text in (b"one", b"two"))


@given(clip_bytes=st.integers(1, 2**36))
def test_the_parts_cover_the_clip_once_and_in_order(clip_bytes: int) -> None:
    parts = parts_of(clip_bytes)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert [part.offset for part in parts] == [0, *(part.offset + part.length for part in parts[:-1])]
    assert parts[-1].offset + parts[-1].length == clip_bytes
    assert all(part.length == part_bytes(clip_bytes) for part in parts[:-1])


@given(clip_bytes=st.integers(1, LARGEST_CLIP_BYTES))
def test_a_clip_of_any_size_has_parts_that_s3_takes(clip_bytes: int) -> None:
    assert part_bytes(clip_bytes) >= USUAL_PART_BYTES
    assert -(-clip_bytes // part_bytes(clip_bytes)) <= MOST_PARTS


@pytest.mark.parametrize(
    ("sent", "there"),
    [
        (None, False),
        (SentPart(1, 3, "e", in_base64(ONE)), True),
        (SentPart(1, 3, "e", in_base64(TWO)), False),
        (SentPart(1, 2, "e", in_base64(ONE)), False),
        (SentPart(1, 3, "e", None), False),
    ],
)
def test_a_part_counts_as_sent_only_with_its_length_and_the_servers_checksum(
    sent: SentPart | None, there: bool
) -> None:
    assert is_there(Part(1, 0, 3), ONE, sent) is there


def test_the_checksum_of_the_whole_is_that_of_the_parts_digests() -> None:
    plain = base64.b64encode(hashlib.sha256(ONE + TWO).digest()).decode()
    assert composite_checksum([ONE, TWO]) == f"{plain}-2"
    assert same_checksum(f"{plain}-2", [ONE, TWO])
    assert same_checksum(plain, [ONE, TWO])
    assert not same_checksum(f"{plain}-3", [ONE, TWO])
    assert not same_checksum(plain, [TWO, ONE])


def test_of_several_begun_uploads_the_oldest_is_gone_on_with() -> None:
    begun = [("2026-11-23T12:00:02.000Z", "young"), ("2026-11-23T12:00:01.000Z", "old")]
    assert oldest_upload(begun) == "old"
    assert oldest_upload([]) is None

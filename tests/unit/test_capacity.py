"""How many workers and bytes buffers need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.replaybuffer import AdvancedEncoding, Encoding, EncodingPreset
from replay_operator.domain.capacity import bytes_per_second, worker_floor


@pytest.mark.parametrize(
    ("buffers", "workers"),
    [(0, 2), (1, 2), (4, 2), (5, 3), (8, 3), (9, 4), (76, 20), (77, 20), (1000, 20)],
)
def test_the_floor_is_what_the_buffers_fill_and_one_to_spare_within_its_bounds(
    buffers: int, workers: int
) -> None:
    assert worker_floor(buffers, per_worker=4, headroom=1, minimum=2, maximum=20) == workers


@given(
    buffers=st.integers(0, 10_000),
    per_worker=st.integers(1, 64),
    headroom=st.integers(0, 5),
    minimum=st.integers(1, 5),
    more=st.integers(0, 50),
)
def test_the_floor_carries_every_buffer_or_is_the_maximum(
    buffers: int, per_worker: int, headroom: int, minimum: int, more: int
) -> None:
    maximum = minimum + more
    floor = worker_floor(buffers, per_worker=per_worker, headroom=headroom, minimum=minimum, maximum=maximum)
    assert minimum <= floor <= maximum
    assert floor == maximum or (floor - headroom) * per_worker >= buffers


def test_a_preset_counts_its_video_and_its_audio() -> None:
    assert bytes_per_second(Encoding(preset=EncodingPreset.H264_1080P_60)) == (6000 + 128) * 125


@pytest.mark.parametrize("preset", list(EncodingPreset))
def test_every_preset_has_a_rate_and_portrait_costs_what_landscape_does(preset: EncodingPreset) -> None:
    landscape = EncodingPreset(preset.removeprefix("PORTRAIT_"))
    assert bytes_per_second(Encoding(preset=preset)) == bytes_per_second(Encoding(preset=landscape)) > 0


def test_own_bit_rates_are_taken_at_their_word() -> None:
    assert bytes_per_second(Encoding(advanced=AdvancedEncoding(video_kbps=800, audio_kbps=64))) == 864 * 125


def test_an_encoding_that_says_nothing_counts_as_livekits_default() -> None:
    default = Encoding(preset=EncodingPreset.H264_720P_30)
    assert bytes_per_second(Encoding()) == bytes_per_second(default)

"""The same in Firefox, on demand: it ignores the edit list of the picture (docs/captures.md, Trim)."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.api.replaycapture import Trim
from replay_operator.media.capture import make_clip
from tests.browsers.page import Page
from tests.media.conftest import RequestMaker

FPS = 30
FRAME = 1 / FPS
URL = "/clips/team/alice/2026-11-22/clip-1a2b3c4d.mp4"


@pytest.mark.parametrize("trim", Trim)
async def test_a_clip_begins_with_the_picture_of_its_first_segment_and_can_be_sought(
    healthy_run: Path, ask: RequestMaker, firefox_page: Page, trim: Trim
) -> None:
    make_clip(ask(healthy_run, 3.37, 9.81, trim=trim))
    loaded = await firefox_page.evaluate(f"load('{URL}')")
    assert loaded["number"] == 60
    # The sound of whole segments begins 50 ms before the picture, and Firefox does not wait for that either.
    early = 0 if trim is Trim.EXACT else 1
    for frame in (1, 17, 18, 60, 77, 78, 150, 5):
        assert await firefox_page.evaluate(f"seek({(frame + 0.5) * FRAME})") == 60 + frame - early


async def test_an_exact_clip_has_its_asked_length_and_its_sound_in_place(
    healthy_run: Path, ask: RequestMaker, firefox_page: Page
) -> None:
    _, result = make_clip(ask(healthy_run, 3.37, 9.81))
    assert result.clip is not None
    loaded = await firefox_page.evaluate(f"load('{URL}')")
    assert loaded["duration"] == pytest.approx(result.clip.milliseconds / 1000, abs=FRAME)
    heard = await firefox_page.evaluate(f"sound('{URL}')")
    assert heard["beeps"] == pytest.approx([second - 3.4 for second in range(4, 10)], abs=0.05)

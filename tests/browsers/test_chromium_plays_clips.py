"""A clip in a real browser, over HTTP with ranges: first picture, length, seeking, playing, sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay_operator.api.replaycapture import Trim
from replay_operator.media.capture import make_clip
from tests.browsers.page import Page
from tests.media.conftest import Buffer, RequestMaker
from tests.media.wall_clock import seconds_of

FPS = 30
FRAME = 1 / FPS
URL = "/clips/team/alice/2026-11-22/clip-1a2b3c4d.mp4"


async def test_a_clip_begins_with_the_asked_picture_and_has_its_length(
    healthy_run: Path, ask: RequestMaker, page: Page
) -> None:
    _, result = make_clip(ask(healthy_run, 3.37, 9.81))
    loaded = await page.evaluate(f"load('{URL}')")
    assert result.clip is not None
    assert loaded["number"] == 102
    assert (loaded["width"], loaded["height"]) == (320, 180)
    assert loaded["duration"] == pytest.approx(result.clip.milliseconds / 1000, abs=FRAME)


async def test_seeking_shows_the_picture_of_that_instant_also_before_and_behind_key_frames(
    healthy_run: Path, ask: RequestMaker, page: Page
) -> None:
    make_clip(ask(healthy_run, 3.37, 9.81))
    await page.evaluate(f"load('{URL}')")
    # The clip begins at 3.4 s of the run, and key frames lie at 4, 6 and 8 s.
    for frame in (0, 1, 17, 18, 60, 77, 78, 79, 150, 191, 5, 0):
        assert await page.evaluate(f"seek({(frame + 0.5) * FRAME})") == 102 + frame


async def test_playing_shows_pictures_in_order_up_to_the_last_one(
    healthy_run: Path, ask: RequestMaker, page: Page
) -> None:
    _, result = make_clip(ask(healthy_run, 5.02, 7.1))
    await page.evaluate(f"load('{URL}')")
    shown = await page.evaluate("play()")
    # A loaded machine leaves pictures out, and draws one that comes a little later than its time was told.
    numbers = [number for _, number in shown]
    assert numbers == sorted(numbers)
    assert all(-FRAME / 2 < (number - 151) * FRAME - seconds < 3 * FRAME for seconds, number in shown)
    assert result.clip is not None
    assert await page.evaluate("number()") == round(seconds_of(result.clip.end) * FPS) - 1


async def test_a_clip_over_two_runs_plays_across_the_change(
    buffer: Buffer, ask: RequestMaker, page: Page
) -> None:
    _, result = make_clip(ask(buffer("first", "second"), 2.37, 18.5))
    loaded = await page.evaluate(f"load('{URL}')")
    assert result.clip is not None
    assert loaded["number"] == 72
    assert loaded["duration"] == pytest.approx(result.clip.milliseconds / 1000, abs=FRAME)
    # The change comes at 9.4 s and may cost three pictures; then the one before is held.
    for second in (3, 8, 9.2, 9.6, 12, 18):
        number = await page.evaluate(f"seek({second - 2.4 + FRAME / 2})")
        assert number in range(round(second * FPS) - 3, round(second * FPS) + 1), second
        assert number == second * FPS or second == 9.6


async def test_a_pause_of_the_picture_holds_the_last_one(
    buffer: Buffer, ask: RequestMaker, page: Page
) -> None:
    make_clip(ask(buffer("first", "after a pause"), 8.2, 20))
    await page.evaluate(f"load('{URL}')")
    assert await page.evaluate("seek(5.3)") == 12 * FPS - 1
    assert await page.evaluate(f"seek({15 - 8.2 + FRAME / 2})") == 15 * FPS


@pytest.mark.parametrize("trim", Trim)
async def test_the_sound_that_the_browser_decodes_has_its_beeps_in_place(
    healthy_run: Path, ask: RequestMaker, page: Page, trim: Trim
) -> None:
    _, result = make_clip(ask(healthy_run, 3.37, 9.81, trim=trim))
    assert result.clip is not None
    heard = await page.evaluate(f"sound('{URL}')")
    begin, end = seconds_of(result.clip.start), seconds_of(result.clip.end)
    expected = [second - begin for second in range(13) if begin <= second < end - 0.1]
    assert heard["beeps"] == pytest.approx(expected, abs=0.05)
    assert heard["duration"] == pytest.approx(end - begin, abs=0.1)

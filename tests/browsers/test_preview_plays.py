"""The agent's page and hls.js in real browsers: the right picture at the right time, whatever happened."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from replay_operator.api.replaycapture import Track
from tests.browsers.page import Page
from tests.browsers.shown_buffer import ShownBuffer
from tests.browsers.viewer import VIEWER
from tests.media.segment_maker import STARTED_AT, RunShape, make_run
from tests.media.wall_clock import SHAPES

START = STARTED_AT.timestamp()
RUNS = [f"20261122T14{minute:02d}00Z-ab12cd34" for minute in range(3)]

TEN_MINUTES = RunShape(
    seconds=600, segment_seconds=10, frames_per_second=2, b_frames=0, tracks=frozenset({Track.VIDEO})
)


@pytest.fixture(scope="session")
def ten_minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures a second and no sound, so that it costs seconds."""
    return make_run(tmp_path_factory.mktemp("long") / "run", TEN_MINUTES)


async def watch(page: Page, buffer: ShownBuffer) -> None:
    """Open the page, and wait until the picture moves."""
    await page.open(buffer.page())
    await page.evaluate(VIEWER)
    await page.evaluate("until(() => video.currentTime > 0 && video.readyState >= 2 && !video.seeking)")


async def look_at(page: Page, seconds: float) -> Any:
    """Press the mouse on the bar where an instant of the run is; give what is seen then."""
    at = await page.evaluate(f"(expectPicture(), onBar({START + seconds}))")
    await page.drag(at, at)
    return await page.evaluate("seen()")


async def test_it_plays_at_the_live_end_and_goes_nine_minutes_back_to_the_right_picture(
    browser_page: Page, shown: ShownBuffer, ten_minutes: Path
) -> None:
    await shown.record(ten_minutes, TEN_MINUTES, name=RUNS[0])
    await watch(browser_page, shown)
    assert await browser_page.evaluate("told('oldest')") == pytest.approx(START, abs=0.05)
    assert await browser_page.evaluate("told('newest')") == pytest.approx(START + 600, abs=0.6)
    assert await browser_page.evaluate("told('shown')") > START + 560
    await browser_page.evaluate("pause()")
    for seconds in (60, 595, 61, 300, 2, 455):
        seen = await look_at(browser_page, seconds)
        assert seen["at"] == pytest.approx(START + seconds, abs=1.0), "a pixel of the bar is half a second"
        # The picture shown is the last one that began before the time that the page tells.
        assert 0 <= (seen["at"] - START) - seen["number"] / 2 < 0.55, seconds


def assert_shows(seen: Any, seconds: float) -> None:
    """The picture is the one of the time that the page tells, and that is where the mouse was."""
    assert seen["at"] == pytest.approx(START + seconds, abs=0.1)
    # A picture is shown from its time on; a browser may have drawn the next one.
    assert -1.1 < (seen["at"] - START) * 30 - seen["number"] < 1.1, seconds


async def test_it_goes_on_in_the_next_run_and_over_a_hole(
    browser_page: Page, shown: ShownBuffer, made_runs: Callable[[str], Path]
) -> None:
    # 0 to 12 s, 7.4 to 19.4 s, and after a hole 30 to 38 s.
    await shown.record(made_runs("first"), SHAPES["first"], name=RUNS[0])
    await shown.record(made_runs("second"), SHAPES["second"], name=RUNS[1])
    await shown.record(made_runs("after a hole"), SHAPES["after a hole"], name=RUNS[2])
    await watch(browser_page, shown)
    await browser_page.evaluate("pause()")
    assert await browser_page.evaluate("stretches().length") == 2
    for seconds in (31.5, 2.5, 11.5, 14.5, 35.5, 8.5):
        assert_shows(await look_at(browser_page, seconds), seconds)
    in_the_hole = await look_at(browser_page, 25)
    assert in_the_hole["number"] - 30 * 30 in range(10), "the first pictures behind it"

    await look_at(browser_page, 10.5)
    pictures = await browser_page.evaluate(f"playing(2, {START + 32})")
    # The page tells the time of the player, which is not drawn yet where one run or stretch ends.
    wrong = [(at - START, number) for at, number in pictures if abs((at - START) * 30 - number) > 9]
    assert len(wrong) <= 4, wrong
    # What both runs have is shown once but for less than a segment, and nothing else goes back.
    back = [before - after for (_, before), (_, after) in pairwise(pictures) if after < before]
    assert len(back) <= 1
    assert all(pictures < 2 * 30 for pictures in back)
    assert any(number < 19.4 * 30 <= 30 * 30 <= after for (_, number), (_, after) in pairwise(pictures))


async def test_a_recording_buffer_moves_on_also_when_the_agent_is_restarted(
    browser_page: Page, shown: ShownBuffer, made_runs: Callable[[str], Path]
) -> None:
    run, shape = made_runs("second"), SHAPES["second"]
    await shown.record(made_runs("brief"), SHAPES["brief"], name=RUNS[0], ended=True)  # 4.4 to 8.4 s
    await shown.record(run, shape, 3, name=RUNS[1])  # 7.4 to 19.4 s when all of it is there
    await watch(browser_page, shown)
    await browser_page.evaluate("pause()")
    await shown.record(run, shape, 4, name=RUNS[1])
    await browser_page.evaluate(f"until(() => told('newest') > {START + 15.3})")
    assert_shows(await look_at(browser_page, 10.2), 10.2)

    # The numbers are those of before, as long as the first run is there.
    await shown.restart()
    await shown.record(run, shape, 5, name=RUNS[1])
    await browser_page.evaluate(f"until(() => told('newest') > {START + 17.3})")
    assert await browser_page.evaluate("told('shown')") == pytest.approx(START + 10.2, abs=0.1)

    # And now they jump ahead.
    await shown.forget(RUNS[0], 0, 1)
    await shown.restart()
    await shown.record(run, shape, name=RUNS[1])
    await browser_page.evaluate(f"until(() => told('newest') > {START + 19.3})")
    await browser_page.evaluate("until(() => video.readyState >= 2 && !video.seeking)")
    assert await browser_page.evaluate("told('shown')") == pytest.approx(START + 10.2, abs=0.1)
    assert await browser_page.evaluate("number()") == pytest.approx(306, abs=2)
    for seconds in (18.6, 8.2, 13.1):
        assert_shows(await look_at(browser_page, seconds), seconds)
    assert await browser_page.evaluate("message()") == ""


async def test_forged_and_expired_addresses_open_nothing(
    page_of_chromium: Page, shown: ShownBuffer, made_runs: Callable[[str], Path]
) -> None:
    await shown.record(made_runs("first"), SHAPES["first"], name=RUNS[0])
    good = shown.query()
    forged = good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB")
    for query in (forged, shown.query(uid="another"), shown.query(lives_seconds=-1)):
        await page_of_chromium.open(shown.page(query))
        await page_of_chromium.evaluate(VIEWER)
        await page_of_chromium.evaluate("until(() => message().includes('ask for a new one'))")
        assert await page_of_chromium.evaluate("video.readyState") == 0


async def test_an_address_that_expires_while_somebody_looks_ends_that(
    page_of_chromium: Page, shown: ShownBuffer, ten_minutes: Path
) -> None:
    await shown.record(ten_minutes, TEN_MINUTES, name=RUNS[0])
    await watch(page_of_chromium, shown)
    shown.clock.advance(3601)
    at = await page_of_chromium.evaluate(f"onBar({START + 60})")
    await page_of_chromium.drag(at, at)
    await page_of_chromium.evaluate("until(() => message().includes('has expired'))")


async def test_it_goes_on_when_numbers_name_other_segments_than_before(
    page_of_chromium: Page, shown: ShownBuffer, made_runs: Callable[[str], Path]
) -> None:
    run, shape = made_runs("second"), SHAPES["second"]
    await shown.record(run, shape, 5, name=RUNS[1])
    await shown.forget(RUNS[1], 2)
    await watch(page_of_chromium, shown)
    await page_of_chromium.evaluate("pause()")
    assert_shows(await look_at(page_of_chromium, 16.2), 16.2)

    # The lost one counted for nothing; after this, each has the number of the one behind it.
    await shown.forget(RUNS[1], 0, 1)
    await shown.restart()
    await shown.record(run, shape, name=RUNS[1])
    await page_of_chromium.evaluate(f"until(() => told('newest') > {START + 19.3})")
    await page_of_chromium.evaluate("until(() => video.readyState >= 2 && !video.seeking)")
    assert await page_of_chromium.evaluate("told('shown')") == pytest.approx(START + 16.2, abs=0.1)
    assert_shows(await look_at(page_of_chromium, 18.6), 18.6)
    assert await page_of_chromium.evaluate("message()") == ""

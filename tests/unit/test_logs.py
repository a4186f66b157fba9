"""Lines of the log: what they are about, how they look, and who says how much."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.logs import JsonLines, TextLines, parse_levels

ABOUT = {"buffer": "alice-screen", "egress": "EG_1", "run": "r1"}


def record(message: str = "it records", **extra: str) -> logging.LogRecord:
    found = logging.makeLogRecord({"name": "replay_operator.controller.writer", "levelname": "INFO", **extra})
    found.msg, found.created = message, 1_795_432_000.25
    return found


def test_a_line_of_json_names_what_it_is_about_in_fields_of_their_own() -> None:
    assert json.loads(JsonLines().format(record(**ABOUT))) == {
        "time": "2026-11-23T11:06:40.250+00:00",
        "level": "INFO",
        "component": "controller.writer",
        "message": "it records",
        **ABOUT,
    }


@given(st.text())
def test_whatever_is_said_stays_one_line_of_json(message: str) -> None:
    line = JsonLines().format(record(message.replace("%", "%%")))
    assert "\n" not in line
    assert json.loads(line)["message"] == message.replace("%", "%%")


def test_an_exception_stays_in_its_line_of_json() -> None:
    failed = record()
    try:
        int("no luck")
    except ValueError as error:
        failed.exc_info = (type(error), error, error.__traceback__)
    line = JsonLines().format(failed)
    assert "\n" not in line
    assert "ValueError: invalid literal" in json.loads(line)["error"]


def test_a_line_of_text_says_behind_itself_only_what_it_has_not_said() -> None:
    line = TextLines().format(record("ReplayBuffer alice-screen: Recording", **ABOUT))
    assert line.endswith("ReplayBuffer alice-screen: Recording egress=EG_1 run=r1")


def test_single_parts_have_levels_of_their_own() -> None:
    assert parse_levels("livekit=DEBUG, kopf=ERROR") == {"livekit": "DEBUG", "kopf": "ERROR"}
    assert parse_levels("") == {}


@pytest.mark.parametrize("text", ["livekit", "livekit=CHATTY", "=INFO"])
def test_a_part_without_a_level_is_refused_with_the_levels_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="DEBUG, INFO, WARNING, ERROR"):
        parse_levels(text)


PROGRAM = """
import logging
from replay_operator.logs import set_up_logging
set_up_logging("WARNING", format_="json", levels="livekit=DEBUG,foreign=INFO")
logging.getLogger("replay_operator.livekit.poller").debug("asked")
logging.getLogger("replay_operator.controller.queue").info("unsaid")
logging.getLogger("foreign.part").info("said")
logging.getLogger("kopf.objects").info("unsaid")
"""


def test_a_process_says_of_each_part_what_was_asked_for() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["component"], line["message"]) for line in lines] == [
        ("livekit.poller", "asked"),
        ("foreign.part", "said"),
    ]

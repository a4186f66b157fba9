"""How a process logs: as text or as one JSON object a line, and how much each part of it says."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import AfterValidator

PACKAGE = "replay_operator"

LogFormat = Literal["text", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

FIELDS = ("kind", "buffer", "capture", "egress", "run", "reason")
"""What a line can be about; given as `extra`. In JSON each is a field of its own, the message has it too."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_NOISY = ("kopf.objects", "aiohttp.access")


def parse_levels(text: str) -> Mapping[str, str]:
    """Read the levels of single parts.

    Args:
        text: Such as `livekit=DEBUG,kopf=WARNING`; a part is a package of this program, or any other logger.

    Raises:
        ValueError: A part has no level, or one that there is not.
    """
    levels: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in text.split(","))):
        part, _, level = pair.partition("=")
        if not part or level not in _LEVELS:
            raise ValueError(f"{pair!r} is not part=LEVEL with one of the levels {', '.join(_LEVELS)}")
        levels[part] = level
    return levels


def _checked(text: str) -> str:
    parse_levels(text)
    return text


LogLevels = Annotated[str, AfterValidator(_checked)]


class TextLines(logging.Formatter):
    """One line of text, and behind it what it is about and does not say."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Give the line of a record, without its traceback."""
        line = super().formatMessage(record)
        unsaid = {name: value for name, value in _about(record).items() if str(value) not in line}
        return " ".join([line, *(f"{name}={value}" for name, value in unsaid.items())])


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "component": record.name.removeprefix(f"{PACKAGE}."),
            "message": record.getMessage(),
        }
        line |= _about(record)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _about(record: logging.LogRecord) -> dict[str, str]:
    return {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out kopf's traces for watches that `controller.watches` begins anew and says so in a line."""
    error = record.exc_info[1] if record.exc_info else None
    return not (record.name.startswith("kopf") and getattr(error, "status", None) == HTTPStatus.GONE)


def set_up_logging(level: LogLevel, *, format_: LogFormat = "text", levels: str = "") -> None:
    """Log to the standard error of this process.

    Args:
        level: Of everything.
        format_: Text, or JSON.
        levels: Of single parts, see `parse_levels`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if format_ == "json" else TextLines())
    handler.addFilter(_is_news)
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for part, own in parse_levels(levels).items():
        # A package of ours by its own name, any other logger by its whole one.
        for name in (part, f"{PACKAGE}.{part}"):
            logging.getLogger(name).setLevel(own)

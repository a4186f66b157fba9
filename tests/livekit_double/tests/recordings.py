"""The recordings of the real server and worker, and the form in which answers are compared with them."""

import json
import re
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

RECORDINGS = Path(__file__).parents[2] / "data" / "livekit"

# Values that must be the same, not only there.
_LITERAL = frozenset({"status", "details", "error", "error_code", "source_type"})
# The request is echoed; what the test asked for differs from what the recording asked for.
_REQUEST = "track_composite"


def recorded_statuses(case: str) -> list[Any]:
    """The ListEgress answers of one recorded case, normalised, one entry a change."""
    lines = (RECORDINGS / "api" / f"status-{case}.jsonl").read_text().splitlines()
    return [normalised(json.loads(line)["items"][0]) for line in lines]


def recorded_errors(call: str) -> list[dict[str, Any]]:
    """Every error that a call was answered with: code, message, status."""
    lines = (RECORDINGS / "api" / "calls.jsonl").read_text().splitlines()
    answers = [entry["answer"] for line in lines if (entry := json.loads(line))["call"] == call]
    return [
        {name: answer["error"][name] for name in ("code", "message", "status")}
        for answer in answers
        if "error" in answer
    ]


def as_recorded(message: Message) -> dict[str, Any]:
    """A message as the recordings write it."""
    return dict(json_format.MessageToDict(message, preserving_proto_field_name=True))


def normalised(info: dict[str, Any]) -> Any:
    """An EgressInfo with what may differ replaced by its kind."""
    return _normalised({"status": "EGRESS_STARTING", **info}, "")


def _normalised(value: Any, name: str) -> Any:
    if name == _REQUEST:
        return sorted(set(value) - {"preset", "advanced"})
    if isinstance(value, dict):
        return {key: _normalised(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_normalised(each, name) for each in value]
    if isinstance(value, str):
        return _normalised_text(value, name)
    return value if name in _LITERAL else type(value).__name__


def _normalised_text(value: str, name: str) -> str:
    if name in _LITERAL:
        return re.sub(r"TR_\w+", "TR_", value)
    if value.isdigit():
        return "integer"
    if "/" in value:
        return re.sub(r"EG_\w+", "EG_", Path(value).name)
    return "text"

"""Generated specs against the definitions: what the schema admits, the model reads.

The real API server has more to say (tests/cluster/test_odd_objects.py); this is what can be said without one.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from replay_operator.api.model import ApiModel
from replay_operator.api.replaybuffer import ReplayBufferSpec
from replay_operator.api.replaycapture import ReplayCaptureSpec
from tests.odd_values import anything, moments, numbers

CRDS = Path(__file__).parents[2] / "crds"
MATCHES = re.compile(r"^self\.matches\('(.*)'\)$")
DATE_TIME = re.compile(r"^\d{4}-\d\d-\d\dt(\d\d):(\d\d):(\d\d)(.\d+)?(z|[+-]\d\d:\d\d)$", re.ASCII)
"""As the API server has it (kube-openapi, strfmt): any character before a fraction, any number as a zone."""

Schema = dict[str, Any]


def spec_schema(plural: str) -> Schema:
    definition = yaml.safe_load((CRDS / f"{plural}.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def is_date_time(text: str) -> bool:
    found = DATE_TIME.fullmatch(text.lower())
    if found is None or not (found[1] <= "23" and found[2] <= "59" and found[3] <= "59"):
        return False
    try:
        datetime.strptime(text[:10].replace("0000", "0004", 1), "%Y-%m-%d")  # noqa: DTZ007 - only whether there is such a day
    except ValueError:
        return False
    return True


def admits(schema: Schema, value: Any) -> bool:
    """What a structural schema says, with the CEL rules that look at one text; null is as good as absent."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    if not isinstance(value, kinds[schema["type"]]) or (
        schema["type"] == "integer" and isinstance(value, bool)
    ):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, int) and not isinstance(value, bool):
        return (
            bool(schema.get("minimum", value) <= value <= schema.get("maximum", value)) and abs(value) < 2**63
        )
    if isinstance(value, str):
        return admits_text(schema, value)
    if isinstance(value, dict):
        inner = {name: each for name, each in value.items() if each is not None}
        known = schema.get("properties", {})
        return set(schema.get("required", [])) <= inner.keys() and all(
            admits(known[name], each) for name, each in inner.items() if name in known
        )
    return True


def admits_text(schema: Schema, text: str) -> bool:
    if not schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", len(text)):
        return False
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", [])]
    patterns = [found[1] for rule in rules if (found := MATCHES.match(rule))]
    patterns += [schema["pattern"]] if "pattern" in schema else []
    # Where Go ends a text, Python also ends it before a last line break.
    if not all(re.search(re.sub(r"\$$", r"\\Z", pattern), text) for pattern in patterns):
        return False
    if schema.get("format") != "date-time":
        return True
    years = any("timestamp(" in rule for rule in rules)
    return is_date_time(text) and (not years or "2000" <= text[:4] < "2200")


def reads(model: type[ApiModel], spec: Schema) -> None:
    model.model_validate(spec)


texts = st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9._-]{1,70}\n?", fullmatch=True)
odd_moments = moments | st.sampled_from(
    [
        "0000-01-01T00:00:00Z",
        "2026-05-04T10:00:00+24:00",
        "2026-05-04T10:00:00+10:60",
        "2026-05-04T10:00:00+99:99",
        "2026-05-04T10:00:00x5Z",
        "2026-05-04T10:00:00,5z",
        "2026-05-04t10:00:00.12345678901234567890-00:00",
        "2199-12-31T23:59:59.999999999-23:59",
        "2000-01-01T00:00:00+23:59",
    ]
)
values = st.one_of(numbers, texts, odd_moments, st.booleans(), anything)


def specs(schema: Schema) -> st.SearchStrategy[Any]:
    """Values of about the right form: each place is as it should be, or anything."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | values
    if schema["type"] == "object":
        fields = {name: specs(field) for name, field in schema.get("properties", {}).items()}
        required = set(schema.get("required", []))
        return st.fixed_dictionaries(
            {name: field for name, field in fields.items() if name in required},
            optional={name: field for name, field in fields.items() if name not in required},
        )
    if schema.get("format") == "date-time":
        return odd_moments
    if schema["type"] == "integer":
        return st.integers(schema.get("minimum", 0) - 1, schema.get("maximum", 100) + 1) | numbers
    return st.booleans() if schema["type"] == "boolean" else texts


CAPTURE, BUFFER = spec_schema("replaycaptures"), spec_schema("replaybuffers")


def until(text: str) -> Schema:
    return {"bufferRef": {"name": "alice"}, "range": {"last": {"seconds": 5, "until": text}}}


@settings(max_examples=150)
@example(spec=until("0000-01-01T00:00:00Z"))
@example(spec=until("2026-05-04T10:00:00+24:00"))
@example(spec=until("2026-05-04T10:00:00+10:60"))
@example(spec=until("2026-05-04T10:00:00x5Z"))
@given(spec=specs(CAPTURE))
def test_a_capture_that_the_schema_admits_can_be_read(spec: Schema) -> None:
    if admits(CAPTURE, spec):
        reads(ReplayCaptureSpec, spec)


@settings(max_examples=150)
@example(spec={"room": "standup", "owner": "user-42\n", "source": {}})
@given(spec=specs(BUFFER))
def test_a_buffer_that_the_schema_admits_can_be_read(spec: Schema) -> None:
    if admits(BUFFER, spec):
        reads(ReplayBufferSpec, spec)


def test_an_ordinary_moment_is_admitted_in_any_zone_and_precision() -> None:
    for text in (
        "2026-05-04T10:00:00Z",
        "2026-05-04t10:00:00.25+02:00",
        "2026-05-04T10:00:00.123456789-23:59",
    ):
        assert admits(CAPTURE, until(text)), text

"""A pattern whose refusal is a sentence.

The API server answers a broken `pattern` with the regular expression itself. A CEL rule can say what to do.
"""

from __future__ import annotations

from typing import Any

PATTERN_MESSAGE = "x-replay-pattern-message"
"""Key between the models and the CRD generator; it is in no CRD."""


def explained(message: str) -> dict[str, Any]:
    """Make the `json_schema_extra` that turns a field's `pattern` into a CEL rule with a message.

    Args:
        message: What the author of a refused object reads; it says what is allowed.
    """
    return {PATTERN_MESSAGE: message}

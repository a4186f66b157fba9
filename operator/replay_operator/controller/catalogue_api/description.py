"""What the read API says of itself."""

from __future__ import annotations

from typing import Any

from replay_operator.catalogue.answers import ClipListAnswer, QuotaAnswer, SessionListAnswer
from replay_operator.controller.catalogue_api.questions import ClipsQuestion, OwnerQuestion, SessionsQuestion
from replay_operator.controller.described_api.document import Described, openapi_document

_PROBLEMS = {
    "400": "The question makes no sense; `detail` says why.",
    "401": "The bearer token is missing, or is none that is accepted.",
    "503": "The database does not answer now. Try again after `Retry-After` seconds.",
}


def describe() -> dict[str, Any]:
    """Give the OpenAPI document as JSON."""
    return openapi_document(
        "Replay catalogue",
        "Clips, sessions and quotas of the people who are recorded. It is only read.",
        {
            "/v1/clips": Described(
                "listClips", "List clips, newest first", ClipsQuestion, ClipListAnswer, _PROBLEMS
            ),
            "/v1/sessions": Described(
                "listSessions", "List sessions, newest first", SessionsQuestion, SessionListAnswer, _PROBLEMS
            ),
            "/v1/quota/{owner}": Described(
                "getQuota",
                "What an owner uses and may have",
                OwnerQuestion,
                QuotaAnswer,
                _PROBLEMS,
                place="path",
            ),
        },
    )

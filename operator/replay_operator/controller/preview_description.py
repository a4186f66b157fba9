"""What the API that hands out addresses says of itself."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from replay_operator.api.replaycapture import BetweenRange
from replay_operator.controller.described_api.document import Described, openapi_document
from replay_operator.controller.preview_answers import NAME_PATTERN, SavedCapture, SignedAddress

_NOT_NOW = {
    "401": "The bearer token is missing, or is none that is accepted.",
    "503": "The API server does not answer now, or there is no key. Try again after `Retry-After` seconds.",
}


class BufferQuestion(BaseModel):
    """The path of POST /v1/buffers/{name}/preview and .../captures."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", description="Of the ReplayBuffer.")]


class CaptureQuestion(BaseModel):
    """The path of POST /v1/captures/{name}/download."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", description="Of the ReplayCapture.")]


def describe() -> dict[str, Any]:
    """Give the OpenAPI document as JSON."""
    return openapi_document(
        "Replay previews",
        "Addresses at which one person sees a buffer, or gets a clip, for a short time; and captures.",
        {
            "/v1/buffers/{name}/preview": Described(
                "previewBuffer",
                "Make an address at which a buffer is seen; `&start=...&end=...` after it shows a part",
                BufferQuestion,
                SignedAddress,
                {**_NOT_NOW, "404": "There is no ReplayBuffer of this name."},
                place="path",
                method="post",
            ),
            "/v1/buffers/{name}/captures": Described(
                "saveMarked",
                "Make a capture of a range: what somebody marked in the page",
                BufferQuestion,
                SavedCapture,
                {
                    **_NOT_NOW,
                    "400": "The body is no range: two RFC 3339 times with their zone.",
                    "403": "The operator may not create captures, or admission refused this one.",
                    "404": "There is no ReplayBuffer of this name.",
                    "422": "Kubernetes refuses the range; the sentence says why.",
                },
                place="path",
                method="post",
                body=BetweenRange,
                success="201",
            ),
            "/v1/captures/{name}/download": Described(
                "downloadClip",
                "Make an address of the clip of a capture",
                CaptureQuestion,
                SignedAddress,
                {
                    **_NOT_NOW,
                    "404": "There is no ReplayCapture of this name.",
                    "409": "There is no clip yet, or never, or in object storage only; `detail` says which.",
                },
                place="path",
                method="post",
            ),
        },
    )

"""What the API that hands out addresses takes and answers; handlers and description both say so by these."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from replay_operator.api.model import ApiModel

NAME_PATTERN = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
"""As the API server takes them: nothing else may get into a field selector."""


class SignedAddress(ApiModel):
    """Where to look, and until when. `page_url` is that of a page with a player, for a buffer only."""

    url: Annotated[str, Field(description="For whoever is to see it: it opens without anything else.")]
    expires_at: AwareDatetime
    page_url: str | None = None


class SavedCapture(ApiModel):
    """The ReplayCapture that was made."""

    name: str

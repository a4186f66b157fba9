"""What may be asked of the read API, checked."""

from __future__ import annotations

from typing import Annotated, Self

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from replay_operator.api.replaybuffer import OWNER_LENGTH, OWNER_PATTERN
from replay_operator.catalogue.listing import MOST_ON_A_PAGE, Chosen, Place, read_cursor
from replay_operator.catalogue.tables import ClipStatus, SessionStatus

Owner = Annotated[str, StringConstraints(pattern=OWNER_PATTERN, max_length=OWNER_LENGTH)]

_ROOM_LENGTH = 256


class ListQuestion(BaseModel):
    """The query of a list. What is not known is refused: a filter with a slip would show other people's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Annotated[Owner | None, Field(description="`spec.owner` of the buffers.")] = None
    room: Annotated[str | None, Field(max_length=_ROOM_LENGTH, description="Name of the LiveKit room.")] = (
        None
    )
    since: Annotated[
        AwareDatetime | None, Field(description="Made at this time or later, such as 2026-11-23T12:00:00Z.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE, description="At most so many on the page.")] = 50
    cursor: Annotated[str | None, Field(max_length=512, description="`next` of the page before.")] = None

    @model_validator(mode="after")
    def _of_somebody(self) -> Self:
        if self.owner is None and self.room is None:
            raise ValueError("give owner or room: nobody lists the whole install in pages")
        return self

    @property
    def after(self) -> Place | None:
        """Where the page begins.

        Raises:
            BadCursorError: The cursor is none.
        """
        return None if self.cursor is None else read_cursor(self.cursor)


class ClipsQuestion(ListQuestion):
    """The query of GET /v1/clips."""

    status: Annotated[tuple[ClipStatus, ...], Field(description="One of these; may be repeated.")] = ()

    @property
    def chosen(self) -> Chosen:
        """Which clips."""
        return Chosen(owner=self.owner, room=self.room, statuses=self.status, since=self.since)


class SessionsQuestion(ListQuestion):
    """The query of GET /v1/sessions."""

    status: Annotated[tuple[SessionStatus, ...], Field(description="One of these; may be repeated.")] = ()

    @property
    def chosen(self) -> Chosen:
        """Which sessions."""
        return Chosen(owner=self.owner, room=self.room, statuses=self.status, since=self.since)


class OwnerQuestion(BaseModel):
    """The path of GET /v1/quota/{owner}."""

    owner: Annotated[Owner, Field(description="`spec.owner` of the buffers.")]


def query_of(request: web.Request) -> dict[str, object]:
    """Give a request's query as it is checked. What is given twice and may not be stays a list, and fails.

    Args:
        request: With its query.
    """
    query: dict[str, object] = {}
    for name in request.query:
        values = request.query.getall(name)
        query[name] = values if name == "status" or len(values) > 1 else values[0]
    return query

"""The read API described in OpenAPI 3.1, from the models that check its questions and make its answers."""

from __future__ import annotations

from typing import Any

from openapi_pydantic import (
    Components,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    Reference,
    Response,
    Schema,
    SecurityScheme,
)
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel

from replay_operator import __version__
from replay_operator.catalogue.answers import ClipListAnswer, QuotaAnswer, SessionListAnswer
from replay_operator.controller.catalogue_api.problems import PROBLEM_TYPE, Problem
from replay_operator.controller.catalogue_api.questions import ClipsQuestion, OwnerQuestion, SessionsQuestion

_TOKEN = "token"  # noqa: S105 - the name of the scheme

_PROBLEMS = {
    "400": "The question makes no sense; `detail` says why.",
    "401": "The bearer token is missing, or is none that is accepted.",
    "503": "The database does not answer now. Try again after `Retry-After` seconds.",
}


def describe() -> dict[str, Any]:
    """Give the OpenAPI document as JSON."""
    document = OpenAPI(
        openapi="3.1.0",
        info=Info(
            title="Replay catalogue",
            version=__version__,
            summary="Clips, sessions and quotas of the people who are recorded. It is only read.",
        ),
        paths={
            "/v1/clips": _path("listClips", "List clips, newest first", ClipsQuestion, ClipListAnswer),
            "/v1/sessions": _path(
                "listSessions", "List sessions, newest first", SessionsQuestion, SessionListAnswer
            ),
            "/v1/quota/{owner}": _path(
                "getQuota", "What an owner uses and may have", OwnerQuestion, QuotaAnswer, place="path"
            ),
        },
        security=[{_TOKEN: []}],
        components=Components(
            securitySchemes={_TOKEN: SecurityScheme(type="http", scheme="bearer")},
        ),
    )
    complete = construct_open_api_with_schema_class(document)
    described: dict[str, Any] = complete.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude_none=True
    )
    return described


def _path(
    name: str, summary: str, question: type[BaseModel], answer: type[BaseModel], *, place: str = "query"
) -> PathItem:
    answers: dict[str, Response | Reference] = {
        "200": Response(description=answer.__doc__ or "", content=_content("application/json", answer))
    }
    for status, description in _PROBLEMS.items():
        answers[status] = Response(description=description, content=_content(PROBLEM_TYPE, Problem))
    return PathItem(
        get=Operation(
            operationId=name, summary=summary, parameters=[*_parameters(question, place)], responses=answers
        )
    )


def _content(media_type: str, model: type[BaseModel]) -> dict[str, MediaType]:
    return {media_type: MediaType(schema=PydanticSchema(schema_class=model))}


def _parameters(question: type[BaseModel], place: str) -> list[Parameter | Reference]:
    schema = question.model_json_schema()
    defined = schema.get("$defs", {})
    return [
        Parameter.model_validate(
            {
                "name": name,
                "in": place,
                "required": name in schema.get("required", ()),
                "description": field.pop("description", None),
                "schema": Schema.model_validate(_inlined(field, defined)),
            }
        )
        for name, field in schema["properties"].items()
    ]


def _inlined(field: dict[str, Any], defined: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of a parameter without references, and without the null that no query can hold."""
    choices = [choice for choice in field.pop("anyOf", ()) if choice != {"type": "null"}]
    if choices:
        field = {**field, **choices[0]}
    if field.get("default", ...) is None or field.get("default") == []:
        del field["default"]
    if "items" in field and "$ref" in field["items"]:
        field["items"] = defined[field["items"]["$ref"].rpartition("/")[2]]
    field.pop("title", None)
    return field

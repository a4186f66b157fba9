"""An API described in OpenAPI 3.1, from the models that check its questions and make its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openapi_pydantic import (
    Components,
    Info,
    MediaType,
    OpenAPI,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Response,
    Schema,
    SecurityScheme,
)
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel

from replay_operator import __version__
from replay_operator.controller.described_api.problems import PROBLEM_TYPE, Problem

_TOKEN = "token"  # noqa: S105 - the name of the scheme


@dataclass(frozen=True, slots=True)
class Described:
    """What an API answers at one path.

    Attributes:
        name: Of the operation, for programs that are written from the description.
        summary: What it does.
        question: Its parameters.
        answer: The model of the answer, whose docstring says what it is.
        problems: What else may come, by status, with the reason.
        place: Where the parameters are.
        method: Of the request.
        body: The model of what is sent, None for nothing.
        success: The status of the answer.
    """

    name: str
    summary: str
    question: type[BaseModel]
    answer: type[BaseModel]
    problems: Mapping[str, str]
    place: Literal["query", "path"] = "query"
    method: Literal["get", "post"] = "get"
    body: type[BaseModel] | None = None
    success: Literal["200", "201"] = "200"


def openapi_document(title: str, summary: str, paths: Mapping[str, Described]) -> dict[str, Any]:
    """Give the OpenAPI document as JSON. Every path needs a bearer token.

    Args:
        title: Of the API.
        summary: What it is for.
        paths: What it answers.
    """
    document = OpenAPI(
        openapi="3.1.0",
        info=Info(title=title, version=__version__, summary=summary),
        paths={path: PathItem.model_validate({d.method: _operation(d)}) for path, d in paths.items()},
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


def _operation(described: Described) -> Operation:
    answer = described.answer
    answers: dict[str, Response | Reference] = {
        described.success: Response(
            description=answer.__doc__ or "", content=_content("application/json", answer)
        )
    }
    for status, description in described.problems.items():
        answers[status] = Response(description=description, content=_content(PROBLEM_TYPE, Problem))
    body = described.body
    return Operation(
        requestBody=None
        if body is None
        else RequestBody(required=True, content=_content("application/json", body)),
        operationId=described.name,
        summary=described.summary,
        parameters=[*_parameters(described.question, described.place)],
        responses=answers,
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

"""Twirp over aiohttp: errors, and protobuf or JSON bodies."""

from typing import TypeVar

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

# livekit-server answers most of its own errors with this in front of the text (recorded in calls.jsonl).
WRAPPED = "twirp error unknown: "

_M = TypeVar("_M", bound=Message)

STATUS_OF_CODE = {
    "invalid_argument": 400,
    "malformed": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "bad_route": 404,
    "deadline_exceeded": 408,
    "already_exists": 409,
    "failed_precondition": 412,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
}


class TwirpError(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str, status: int = 0) -> None:
        """Makes the error.

        Args:
            code: Twirp's name of the error.
            message: the text as the client sees it.
            status: the HTTP status; 0 means the one that belongs to the code.
        """
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> web.Response:
        """The HTTP answer. Twirp errors are JSON whatever the request was."""
        status = self.status or STATUS_OF_CODE.get(self.code, 500)
        return web.json_response({"code": self.code, "msg": self.message}, status=status)


async def read_message(request: web.Request, message: _M) -> _M:
    """Reads a request body into `message`.

    Raises:
        TwirpError: `malformed` if the body is not that message, `bad_route` for another content type.
    """
    body = await request.read()
    try:
        match request.content_type:
            case "application/protobuf":
                message.ParseFromString(body)
            case "application/json":
                json_format.Parse(body, message, ignore_unknown_fields=True)
            case other:
                raise TwirpError("bad_route", f'unexpected Content-Type: "{other}"')
    except (DecodeError, json_format.ParseError) as error:
        raise TwirpError("malformed", f"the body of the request could not be decoded: {error}") from error
    return message


def write_message(request: web.Request, message: Message) -> web.Response:
    """Answers in the encoding of the request."""
    if request.content_type == "application/json":
        text = json_format.MessageToJson(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
        return web.Response(text=text, content_type="application/json")
    return web.Response(body=message.SerializeToString(), content_type="application/protobuf")

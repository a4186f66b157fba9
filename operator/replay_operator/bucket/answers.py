"""Reads what an S3 server answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree as ET

from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.domain.upload_parts import SentPart

_LONGEST_QUOTE = 300
_UNAUTHORIZED, _FORBIDDEN, _INSUFFICIENT_STORAGE = 401, 403, 507

_REASONS: Mapping[str, UploadErrorReason] = MappingProxyType(
    {
        "NoSuchBucket": UploadErrorReason.BUCKET_MISSING,
        "QuotaExceeded": UploadErrorReason.BUCKET_FULL,
        "InsufficientStorage": UploadErrorReason.BUCKET_FULL,
        "XMinioAdminBucketQuotaExceeded": UploadErrorReason.BUCKET_FULL,
        "XMinioStorageFull": UploadErrorReason.BUCKET_FULL,
        "BadDigest": UploadErrorReason.CHECKSUM_MISMATCH,
        "XAmzContentSHA256Mismatch": UploadErrorReason.CHECKSUM_MISMATCH,
        "PreconditionFailed": UploadErrorReason.OBJECT_TAKEN,
        "ExpiredToken": UploadErrorReason.CREDENTIALS_REFUSED,
        "InvalidToken": UploadErrorReason.CREDENTIALS_REFUSED,
        "XAdminUserNotFound": UploadErrorReason.CREDENTIALS_REFUSED,  # versitygw's, with status 404
    }
)
"""Error codes of S3 and of servers that speak it. Others are told by the HTTP status."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `code` and `message` are the server's when it refused."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    code: str = ""
    message: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the server did not do what it was asked."""
        return self.status >= 300 or bool(self.code)  # noqa: PLR2004 - of HTTP: redirects are not followed

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed in a moment: throttled, or a fault of the server."""
        passing = self.status in (408, 429) or self.status >= 500 or self.code == "RequestTimeout"  # noqa: PLR2004 - of HTTP
        return passing and _reason(self) is not UploadErrorReason.BUCKET_FULL


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read an answer. Completing an upload can be refused with status 200 and an error in the body."""
    told = fields(body) if body.lstrip().startswith(b"<") else {}
    if "Code" not in told:
        return Answer(status, headers, body)
    return Answer(status, headers, body, told["Code"], told.get("Message", "")[:_LONGEST_QUOTE])


def refusal(answer: Answer, what: str) -> UploadFailedError:
    """Say what the server has refused, and why.

    Args:
        answer: The refusal.
        what: What was asked for, and of which object.
    """
    words = f"{answer.code or 'no reason given'} (HTTP {answer.status})"
    quoted = f": {answer.message}" if answer.message else ""
    return UploadFailedError(_reason(answer), f"the server refused to {what}: {words}{quoted}")


def fields(body: bytes) -> dict[str, str]:
    """Give the texts directly below the root.

    Raises:
        UploadFailedError: BucketError, when it is no XML.
    """
    return _texts(_root(body))


def elements(body: bytes, name: str) -> Iterator[dict[str, str]]:
    """Give the texts of each element of a name below the root.

    Raises:
        UploadFailedError: BucketError, when it is no XML.
    """
    return (_texts(element) for element in _root(body) if _local(element) == name)


def part_of(told: Mapping[str, str]) -> SentPart:
    """Read one part of a list of parts."""
    return SentPart(
        number=int(told["PartNumber"]),
        length=int(told["Size"]),
        etag=told["ETag"],
        sha256=told.get("ChecksumSHA256") or None,
    )


def _reason(answer: Answer) -> UploadErrorReason:
    if answer.code in _REASONS:
        return _REASONS[answer.code]
    if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
        return UploadErrorReason.CREDENTIALS_REFUSED
    if answer.status == _INSUFFICIENT_STORAGE:
        return UploadErrorReason.BUCKET_FULL
    return UploadErrorReason.BUCKET_ERROR


def _root(body: bytes) -> ET.Element:
    try:
        return ET.fromstring(body)  # noqa: S314 - of the install's own bucket; expat bounds entities since 2.4
    except ET.ParseError as error:
        raise UploadFailedError(
            UploadErrorReason.BUCKET_ERROR,
            f"the endpoint's answer is no XML of S3 ({error}): is REPLAY_UPLOAD_ENDPOINT an S3 API?",
        ) from error


def _texts(element: ET.Element) -> dict[str, str]:
    return {_local(child): child.text or "" for child in element}


def _local(element: ET.Element) -> str:
    """Give a name without its namespace: not every server sends one."""
    return element.tag.rpartition("}")[2]

"""What is read from the answers of S3 servers."""

from __future__ import annotations

import pytest

from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.bucket.answers import elements, fields, part_of, read_answer, refusal
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.domain.upload_parts import SentPart


def error(code: str, message: str = "why") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "InvalidAccessKeyId", UploadErrorReason.CREDENTIALS_REFUSED),
        (403, "SignatureDoesNotMatch", UploadErrorReason.CREDENTIALS_REFUSED),
        (400, "ExpiredToken", UploadErrorReason.CREDENTIALS_REFUSED),
        (404, "XAdminUserNotFound", UploadErrorReason.CREDENTIALS_REFUSED),
        (404, "NoSuchBucket", UploadErrorReason.BUCKET_MISSING),
        (403, "QuotaExceeded", UploadErrorReason.BUCKET_FULL),
        (507, "XMinioStorageFull", UploadErrorReason.BUCKET_FULL),
        (400, "BadDigest", UploadErrorReason.CHECKSUM_MISMATCH),
        (412, "PreconditionFailed", UploadErrorReason.OBJECT_TAKEN),
        (404, "NoSuchUpload", UploadErrorReason.BUCKET_ERROR),
        (500, "InternalError", UploadErrorReason.BUCKET_ERROR),
    ],
)
def test_a_refusal_has_a_reason_of_the_documented_list(
    status: int, code: str, reason: UploadErrorReason
) -> None:
    told = refusal(read_answer(status, {}, error(code)), "look at clips/a.mp4")
    assert told.reason is reason
    assert all(words in told.message for words in (code, str(status), "why", "clips/a.mp4"))


def test_an_error_behind_status_200_is_a_refusal() -> None:
    assert read_answer(200, {}, error("InternalError")).is_refusal
    assert not read_answer(200, {}, b"<Done><ETag>e</ETag></Done>").is_refusal
    assert not read_answer(200, {}, b"").is_refusal


@pytest.mark.parametrize(
    ("status", "code", "may_pass"),
    [
        (503, "SlowDown", True),
        (429, "", True),
        (507, "", False),
        (403, "QuotaExceeded", False),
        (404, "", False),
    ],
)
def test_only_what_may_pass_by_itself_is_asked_again(status: int, code: str, *, may_pass: bool) -> None:
    assert read_answer(status, {}, error(code) if code else b"").may_pass is may_pass


@pytest.mark.parametrize("namespace", ["", " xmlns='http://s3.amazonaws.com/doc/2006-03-01/'"])
def test_parts_are_read_with_and_without_a_namespace(namespace: str) -> None:
    part = "<Part><PartNumber>2</PartNumber><Size>7</Size><ETag>e</ETag>{}</Part>"
    known = part.format("<ChecksumSHA256>c</ChecksumSHA256>")
    body = f"<ListPartsResult{namespace}>{known}{part.format('')}</ListPartsResult>".encode()
    found = [part_of(told) for told in elements(body, "Part")]
    assert found == [SentPart(2, 7, "e", "c"), SentPart(2, 7, "e", None)]


def test_an_endpoint_that_is_no_s3_is_said_to_be_none() -> None:
    with pytest.raises(UploadFailedError, match="REPLAY_UPLOAD_ENDPOINT"):
        fields(b"<html><body>Welcome<br></html>")


def test_entities_that_grow_without_bound_are_refused() -> None:
    grown = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 100}">' for n in range(1, 9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY l0 "lol">{grown}]><e><Code>&l8;</Code></e>'
    with pytest.raises(UploadFailedError):
        fields(bomb.encode())

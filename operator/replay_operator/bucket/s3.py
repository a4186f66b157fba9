"""The operations of S3 that an upload needs, over HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape

import aiohttp
from yarl import URL

from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.bucket.answers import Answer, elements, fields, part_of, read_answer, refusal
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.signature import Signer
from replay_operator.domain.upload_parts import Part, SentPart, in_base64

_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.5
"""Doubled after each try. A longer trouble is for the next attempt, which finds the parts that are there."""

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0
_SLOWEST_BYTES_PER_SECOND = 16 * 1024
"""A part that is sent more slowly hangs."""

CAPTURE_UID_HEADER = "x-amz-meta-capture-uid"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the bucket has it."""

    length: int
    capture_uid: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    what: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    digest: bytes | None = None


class S3Object:
    """One object of one bucket, there or not yet.

    Args:
        session: Sends the requests.
        signer: Signs them.
        endpoint: Base URL of the S3 API.
        bucket: Name of the bucket; it goes into the path, which servers without names of their own need.
        key: Of the object, without characters that a URL would have to quote.
    """

    def __init__(
        self, session: aiohttp.ClientSession, signer: Signer, *, endpoint: str, bucket: str, key: str
    ) -> None:
        self._session = session
        self._signer = signer
        self._endpoint = endpoint
        self._bucket = bucket
        self._key = key

    async def look(self) -> StoredObject | None:
        """Give the object's size, owner and checksum, or None when there is none.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        asked = _Request("HEAD", "look at", headers={"x-amz-checksum-mode": "ENABLED"})
        answer = await self._answer(asked)
        if answer.status == 404:  # noqa: PLR2004 - of HTTP; an answer to HEAD has no code
            return None
        self._check(answer, asked)
        return StoredObject(
            length=int(answer.headers.get("Content-Length", "-1")),
            capture_uid=answer.headers.get(CAPTURE_UID_HEADER),
            sha256=answer.headers.get("x-amz-checksum-sha256"),
        )

    async def begun_uploads(self) -> list[tuple[str, str]]:
        """Give when each upload of this key was begun, and its id.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        asked = _Request("GET", "list the uploads of", query=(("prefix", self._key), ("uploads", "")))
        answer = await self._send(asked, of_bucket=True)
        uploads = elements(answer.body, "Upload")
        return [(told["Initiated"], told["UploadId"]) for told in uploads if told.get("Key") == self._key]

    async def begin(self, capture_uid: str, tags: Sequence[tuple[str, str]]) -> str:
        """Begin an upload; give its id.

        Args:
            capture_uid: Whose clip it is, kept with the object.
            tags: Of the object.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        headers = {
            "content-type": "video/mp4",
            "x-amz-checksum-algorithm": "SHA256",
            "x-amz-checksum-type": "COMPOSITE",  # of the parts' digests, which are known as they are read
            CAPTURE_UID_HEADER: capture_uid,
        }
        if tags:
            headers["x-amz-tagging"] = urlencode(tags, quote_via=quote)
        asked = _Request("POST", "begin the upload of", query=(("uploads", ""),), headers=headers)
        return fields((await self._send(asked)).body)["UploadId"]

    async def sent_parts(self, upload_id: str) -> dict[int, SentPart]:
        """Give the parts that the bucket has of an upload, by their numbers.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        found: dict[int, SentPart] = {}
        marker = "0"
        while True:
            query = (("part-number-marker", marker), ("uploadId", upload_id))
            body = (await self._send(_Request("GET", "list the parts of", query=query))).body
            found |= {part.number: part for part in map(part_of, elements(body, "Part"))}
            told = fields(body)
            if told.get("IsTruncated") != "true":
                return found
            marker = told["NextPartNumberMarker"]

    async def send_part(self, upload_id: str, part: Part, body: bytes, digest: bytes) -> SentPart:
        """Send one part. The server refuses it unless the bytes have this digest.

        Args:
            upload_id: Of the upload.
            part: Which one.
            body: Its bytes.
            digest: Their SHA-256.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        checksum = in_base64(digest)
        query = (("partNumber", str(part.number)), ("uploadId", upload_id))
        headers = {"x-amz-checksum-sha256": checksum}
        answer = await self._send(
            _Request("PUT", f"take part {part.number} of", query, headers, body, digest)
        )
        return SentPart(part.number, part.length, answer.headers.get("ETag", ""), checksum)

    async def complete(self, upload_id: str, parts: Sequence[SentPart], *, if_absent: bool) -> None:
        """Make the object of its parts.

        Args:
            upload_id: Of the upload.
            parts: All of them, in order.
            if_absent: Overwrite nothing; not every server heeds that.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        listed = "".join(
            f"<Part><ChecksumSHA256>{part.sha256}</ChecksumSHA256><ETag>{escape(part.etag)}</ETag>"
            f"<PartNumber>{part.number}</PartNumber></Part>"
            for part in parts
        )
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<CompleteMultipartUpload xmlns="{namespace}">{listed}</CompleteMultipartUpload>'.encode()
        headers = {"content-type": "application/xml"} | ({"if-none-match": "*"} if if_absent else {})
        query = (("uploadId", upload_id),)
        await self._send(_Request("POST", "complete the upload of", query, headers, body))

    async def abort(self, upload_id: str) -> None:
        """Let go of an upload and its parts.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        await self._send(_Request("DELETE", "let go of the upload of", (("uploadId", upload_id),)))

    async def delete(self) -> None:
        """Delete the object; a bucket with versions keeps the old ones until its own rules delete them.

        Raises:
            UploadFailedError: The server refuses, or is away.
        """
        await self._send(_Request("DELETE", "delete"))

    async def _send(self, asked: _Request, *, of_bucket: bool = False) -> Answer:
        answer = await self._answer(asked, of_bucket=of_bucket)
        self._check(answer, asked)
        return answer

    def _check(self, answer: Answer, asked: _Request) -> None:
        if answer.is_refusal:
            raise refusal(answer, f"{asked.what} {self._bucket}/{self._key}")

    async def _answer(self, asked: _Request, *, of_bucket: bool = False) -> Answer:
        """Send a request, again after a pause while that may help."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        for tries_left in reversed(range(_TRIES)):
            try:
                answer = await self._once(asked, of_bucket=of_bucket)
                if not answer.may_pass or not tries_left:
                    return answer
                trouble = f"{answer.code} (HTTP {answer.status})"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                trouble = str(error) or type(error).__name__
                if not tries_left:
                    raise self._unreachable(asked, trouble) from error
            _log.info("%s %s/%s once more: %s", asked.what, self._bucket, self._key, trouble)
            await asyncio.sleep(pause_seconds)
            pause_seconds *= 2
        raise AssertionError("unreachable: the last try returns or raises")

    def _unreachable(self, asked: _Request, trouble: str) -> UploadFailedError:
        return UploadFailedError(
            UploadErrorReason.BUCKET_UNREACHABLE,
            f"cannot {asked.what} {self._bucket}/{self._key} at {self._endpoint}: {trouble}. Look at the "
            "endpoint, the network policy and the certificate",
        )

    async def _once(self, asked: _Request, *, of_bucket: bool) -> Answer:
        path = f"/{self._bucket}" if of_bucket else f"/{self._bucket}/{self._key}"
        query = urlencode(asked.query, quote_via=quote, safe="-_.~")
        target = f"{path}?{query}" if query else path
        digest = asked.digest or hashlib.sha256(asked.body).digest()
        plain = {"host": urlsplit(self._endpoint).netloc, **(asked.headers or {})}
        headers = await self._signer.signed(asked.method, target, plain, body_sha256=digest.hex())
        longest_seconds = _ANSWER_SECONDS + len(asked.body) / _SLOWEST_BYTES_PER_SECOND
        async with (
            asyncio.timeout(longest_seconds),
            self._session.request(
                asked.method,
                URL(self._endpoint + target, encoded=True),
                headers=headers,
                data=io.BytesIO(asked.body) if asked.body else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS
                ),
            ) as response,
        ):
            return read_answer(response.status, response.headers, await response.read())

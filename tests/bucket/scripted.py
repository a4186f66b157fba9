"""A bucket in memory, for what no real server can be made to do: lose checksums, answers, or a race."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.s3 import StoredObject
from replay_operator.domain.upload_parts import Part, SentPart, composite_checksum, in_base64


@dataclass
class ScriptedObject:
    """One object of a bucket. Set what it should do wrong."""

    found: StoredObject | None = None
    begun: dict[str, tuple[str, dict[int, SentPart]]] = field(default_factory=dict)
    keeps_checksums: bool = True
    spoils: bool = False
    loses_answer_to_complete: bool = False
    fails_at_part: int | None = None
    sent: list[int] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    overwrites: list[bool] = field(default_factory=list)
    capture_uid: str | None = None

    async def look(self) -> StoredObject | None:
        return self.found

    async def begun_uploads(self) -> list[tuple[str, str]]:
        return [(begun_at, upload_id) for upload_id, (begun_at, _) in self.begun.items()]

    async def begin(self, capture_uid: str, tags: Sequence[tuple[str, str]]) -> str:
        upload_id = f"upload-{len(self.begun) + 1}"
        self.begun[upload_id] = ("2026-11-23T12:00:00Z", {})
        self.capture_uid = capture_uid
        return upload_id

    async def sent_parts(self, upload_id: str) -> dict[int, SentPart]:
        parts = self.begun[upload_id][1]
        if self.keeps_checksums:
            return dict(parts)
        return {number: replace(part, sha256=None) for number, part in parts.items()}

    async def send_part(self, upload_id: str, part: Part, body: bytes, digest: bytes) -> SentPart:
        assert hashlib.sha256(body).digest() == digest
        assert len(body) == part.length
        if part.number == self.fails_at_part:
            raise UploadFailedError(UploadErrorReason.BUCKET_FULL, "no room")
        self.sent.append(part.number)
        sent = SentPart(part.number, part.length, f'"{part.number}"', in_base64(digest))
        self.begun[upload_id][1][part.number] = sent
        return sent

    async def complete(self, upload_id: str, parts: Sequence[SentPart], *, if_absent: bool) -> None:
        self.overwrites.append(not if_absent)
        _, stored = self.begun.pop(upload_id)
        assert [part.number for part in parts] == sorted(stored)
        checksum = "spoilt" if self.spoils else _composite(parts)
        length = sum(part.length for part in parts)
        self.found = StoredObject(length, self.capture_uid, checksum if self.keeps_checksums else None)
        if self.loses_answer_to_complete:
            raise UploadFailedError(UploadErrorReason.BUCKET_ERROR, "NoSuchUpload")

    async def abort(self, upload_id: str) -> None:
        self.aborted.append(upload_id)
        del self.begun[upload_id]


def _composite(parts: Sequence[SentPart]) -> str:
    return composite_checksum([base64.b64decode(part.sha256 or "") for part in parts])

"""What an upload makes of a bucket that has something already, tells nothing, or tells something else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from replay_operator.api.upload_job import UploadErrorReason, UploadRequest
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.s3 import StoredObject
from replay_operator.bucket.upload import PARTS_AT_ONCE, upload_clip
from replay_operator.domain.upload_parts import USUAL_PART_BYTES, Part, SentPart
from tests.bucket.scripted import ScriptedObject
from tests.bucket.upload_process import CLIP_PATH, make_request

THREE_PARTS = 2 * USUAL_PART_BYTES + 1


def request_for(archive: Path, *, size_bytes: int = THREE_PARTS) -> UploadRequest:
    request = make_request(archive, "http://127.0.0.1:1", size_bytes=size_bytes, bucket="clips")
    return request.model_copy(update={"key": CLIP_PATH, "tags": ()})


@pytest.fixture
def request_(tmp_path: Path) -> UploadRequest:
    return request_for(tmp_path)


async def refused(request: UploadRequest, remote: ScriptedObject) -> UploadErrorReason:
    with pytest.raises(UploadFailedError) as failure:
        await upload_clip(request, remote)
    return failure.value.reason


async def test_a_clip_is_sent_in_parts_and_named(request_: UploadRequest) -> None:
    remote = ScriptedObject()
    result = await upload_clip(request_, remote)
    assert (result.url, result.parts, result.parts_kept) == (f"s3://clips/{CLIP_PATH}", 3, 0)
    assert sorted(remote.sent) == [1, 2, 3]
    assert remote.overwrites == [False]


async def test_an_attempt_that_failed_leaves_its_parts_to_the_next_one(request_: UploadRequest) -> None:
    remote = ScriptedObject(fails_at_part=3)
    assert await refused(request_, remote) is UploadErrorReason.BUCKET_FULL
    before = sorted(remote.sent)
    remote.fails_at_part = None
    remote.sent.clear()
    result = await upload_clip(request_, remote)
    assert result.parts_kept == len(before)
    assert sorted([*before, *remote.sent]) == [1, 2, 3]


async def test_parts_that_the_server_tells_no_checksum_of_are_sent_again(request_: UploadRequest) -> None:
    remote = ScriptedObject(fails_at_part=3, keeps_checksums=False)
    await refused(request_, remote)
    remote.fails_at_part = None
    remote.sent.clear()
    assert await refused(request_, remote) is UploadErrorReason.CHECKSUM_MISSING
    assert sorted(remote.sent) == [1, 2, 3]


async def test_a_part_with_other_bytes_is_sent_again(request_: UploadRequest) -> None:
    remote = ScriptedObject(fails_at_part=3)
    await refused(request_, remote)
    _, parts = remote.begun["upload-1"]
    parts[1] = replace(parts[1], sha256="of other bytes")
    remote.fails_at_part = None
    remote.sent.clear()
    await upload_clip(request_, remote)
    assert 1 in remote.sent


async def test_what_the_server_has_is_compared_and_not_believed(request_: UploadRequest) -> None:
    remote = ScriptedObject(spoils=True)
    assert await refused(request_, remote) is UploadErrorReason.CHECKSUM_MISMATCH
    remote.spoils = False
    assert (await upload_clip(request_, remote)).url is not None
    assert remote.overwrites == [False, True]


async def test_a_clip_that_is_there_is_not_sent_again(request_: UploadRequest) -> None:
    remote = ScriptedObject()
    await upload_clip(request_, remote)
    remote.sent.clear()
    again = await upload_clip(request_, remote)
    assert (again.parts, again.parts_kept, remote.sent) == (3, 3, [])


@pytest.mark.parametrize("owner", [None, "another-capture"])
async def test_an_object_of_somebody_else_is_never_overwritten(
    request_: UploadRequest, owner: str | None
) -> None:
    remote = ScriptedObject(found=StoredObject(request_.bytes, owner, None))
    assert await refused(request_, remote) is UploadErrorReason.OBJECT_TAKEN
    assert (remote.sent, remote.begun) == ([], {})


async def test_an_answer_that_was_lost_after_the_object_was_made_costs_nothing(
    request_: UploadRequest,
) -> None:
    assert (await upload_clip(request_, ScriptedObject(loses_answer_to_complete=True))).url is not None


async def test_a_file_that_is_not_the_clip_that_was_made_is_not_published(request_: UploadRequest) -> None:
    remote = ScriptedObject()
    changed = request_.model_copy(update={"sha256": "0" * 64})
    assert await refused(changed, remote) is UploadErrorReason.CLIP_CHANGED
    assert (remote.found, remote.aborted) == (None, ["upload-1"])


@pytest.mark.parametrize("other", [{"bytes": THREE_PARTS + 1}, {"clip_path": "team/gone.mp4"}])
async def test_a_clip_that_is_gone_or_has_another_size_is_said_to_be_missing(
    request_: UploadRequest, other: dict[str, int | str]
) -> None:
    wrong = request_.model_copy(update=other)
    assert await refused(wrong, ScriptedObject()) is UploadErrorReason.CLIP_MISSING


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/hostname", "link/secret.mp4"])
async def test_a_path_cannot_leave_the_archive_volume(tmp_path: Path, path: str) -> None:
    archive = tmp_path / "archive"
    request = request_for(archive, size_bytes=1)
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (archive / "link").symlink_to(tmp_path)
    astray = request.model_copy(update={"clip_path": path})
    assert await refused(astray, ScriptedObject()) is UploadErrorReason.BAD_REQUEST


@dataclass
class CountingObject(ScriptedObject):
    """Holds every part until no further one comes, to see how many are in memory at once."""

    full: asyncio.Event = field(default_factory=asyncio.Event)
    held: int = 0
    most_held: int = 0

    async def send_part(self, upload_id: str, part: Part, body: bytes, digest: bytes) -> SentPart:
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        if self.held == PARTS_AT_ONCE:
            self.full.set()
        await self.full.wait()
        self.held -= 1
        return await super().send_part(upload_id, part, body, digest)


async def test_a_long_clip_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    remote = CountingObject()
    request = request_for(tmp_path, size_bytes=(PARTS_AT_ONCE + 2) * USUAL_PART_BYTES)
    async with asyncio.timeout(30):
        await upload_clip(request, remote)
    assert remote.most_held == PARTS_AT_ONCE

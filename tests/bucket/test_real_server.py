"""Uploads to a real S3 server, as processes: what arrives, what is refused, what a kill or a cut costs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from replay_operator.api.removal_job import RemovalResult
from replay_operator.api.upload_job import UploadErrorReason
from replay_operator.domain.upload_parts import USUAL_PART_BYTES
from tests.bucket.faulty_way import faulty_way
from tests.bucket.pod_identity import pod_identity
from tests.bucket.server import S3Server, start_s3_server
from tests.bucket.upload_process import (
    CREDENTIALS,
    KEY,
    clip_bytes,
    end_of,
    make_request,
    removal_of,
    remove,
    run,
    start,
)
from tests.testbed.children import Children

THREE_PARTS, SIX_PARTS = (n * USUAL_PART_BYTES + 1 for n in (2, 5))
_HELD_SECONDS = 60


async def test_a_clip_arrives_bit_for_bit_and_is_known_again(s3_server: S3Server, tmp_path: Path) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=THREE_PARTS)
    first = await run(request, tmp_path)
    assert first.exit_code == 0, first.said
    assert (first.result.url, first.result.parts_kept) == (f"s3://clips/{KEY}", 0)
    assert first.termination == first.result
    assert s3_server.stored(KEY) == clip_bytes(request)
    again = await run(request, tmp_path)
    assert (again.exit_code, again.result.parts_kept) == (0, 3)


async def test_a_clip_smaller_than_a_part_arrives(s3_server: S3Server, tmp_path: Path) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    assert (await run(request, tmp_path)).exit_code == 0
    assert s3_server.stored(KEY) == clip_bytes(request)


@pytest.mark.parametrize(
    "credentials",
    [
        CREDENTIALS | {"AWS_SECRET_ACCESS_KEY": "not-the-secret-that-it-knows"},
        CREDENTIALS | {"AWS_ACCESS_KEY_ID": "nobody-of-this-name"},
        {},
    ],
    ids=["wrong secret", "unknown key", "none"],
)
async def test_credentials_that_are_refused_are_said_to_be_and_never_shown(
    s3_server: S3Server, tmp_path: Path, credentials: dict[str, str]
) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    ended = await run(request, tmp_path, credentials)
    assert ended.exit_code == 75
    assert ended.termination.error is not None
    assert ended.termination.error.reason is UploadErrorReason.CREDENTIALS_REFUSED
    assert credentials.get("AWS_SECRET_ACCESS_KEY", "never") not in ended.said
    assert s3_server.stored(KEY) is None


async def test_a_pods_identity_is_enough(s3_server: S3Server, tmp_path: Path) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    async with pod_identity() as variables:
        ended = await run(request, tmp_path, variables)
    assert ended.exit_code == 0, ended.said
    assert s3_server.stored(KEY) == clip_bytes(request)


async def test_a_bucket_that_is_not_there_is_said_to_be_missing(s3_server: S3Server, tmp_path: Path) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1, bucket="elsewhere")
    ended = await run(request, tmp_path)
    assert ended.exit_code == 75
    assert ended.result.error is not None
    assert ended.result.error.reason is UploadErrorReason.BUCKET_MISSING


async def test_an_object_of_somebody_else_stays_as_it_is(s3_server: S3Server, tmp_path: Path) -> None:
    s3_server.plant(KEY, b"not a clip of ours")
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    ended = await run(request, tmp_path)
    assert ended.exit_code == 65
    assert ended.result.error is not None
    assert ended.result.error.reason is UploadErrorReason.OBJECT_TAKEN
    assert s3_server.stored(KEY) == b"not a clip of ours"


async def test_a_clip_is_deleted_there_again_and_one_that_is_gone_is_as_good(
    s3_server: S3Server, tmp_path: Path
) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    assert (await run(request, tmp_path)).exit_code == 0
    for _ in range(2):
        assert await remove(removal_of(request), tmp_path) == (0, RemovalResult(removed=1))
        assert s3_server.stored(KEY) is None


async def test_what_does_not_name_the_capture_is_not_deleted(s3_server: S3Server, tmp_path: Path) -> None:
    request = make_request(tmp_path / "archive", s3_server.endpoint, size_bytes=1)
    assert (await run(request, tmp_path)).exit_code == 0
    another = removal_of(request, capture_uid="ffffffff-0000-4000-8000-000000000002")
    assert await remove(another, tmp_path) == (0, RemovalResult(not_ours=(KEY,)))
    exit_code, refused = await remove(removal_of(request), tmp_path, {})
    assert (exit_code, refused.removed) == (75, 0)
    assert refused.error is not None
    assert refused.error.reason is UploadErrorReason.CREDENTIALS_REFUSED
    assert s3_server.stored(KEY) == clip_bytes(request)


async def test_connections_that_are_cut_now_and_then_cost_no_attempt(
    s3_server: S3Server, tmp_path: Path
) -> None:
    async with faulty_way(s3_server.port) as way:
        way.cuts_left = 3
        request = make_request(tmp_path / "archive", way.endpoint, size_bytes=THREE_PARTS)
        ended = await run(request, tmp_path)
        assert way.cuts_left == 0
    assert ended.exit_code == 0, ended.said
    assert s3_server.stored(KEY) == clip_bytes(request)


async def test_a_way_that_cuts_every_part_is_told_and_the_clip_stays(
    s3_server: S3Server, tmp_path: Path
) -> None:
    async with faulty_way(s3_server.port) as way:
        way.cuts_left = 1000
        request = make_request(tmp_path / "archive", way.endpoint, size_bytes=THREE_PARTS)
        before = clip_bytes(request)
        ended = await run(request, tmp_path)
    assert ended.exit_code == 75
    assert ended.result.error is not None
    assert ended.result.error.reason is UploadErrorReason.BUCKET_UNREACHABLE
    assert clip_bytes(request) == before
    assert s3_server.stored(KEY) is None


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)])
async def test_an_upload_that_is_ended_is_taken_up_where_it_was(
    s3_server: S3Server, tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    async with faulty_way(s3_server.port) as way:
        way.hold_after_parts = 2
        request = make_request(tmp_path / "archive", way.endpoint, size_bytes=SIX_PARTS)
        process = await start(request, tmp_path / "killed")
        try:
            async with asyncio.timeout(_HELD_SECONDS):
                await way.held.wait()
            process.send_signal(number)
        finally:
            if not way.held.is_set():
                process.kill()
            ended_with, _, log = await end_of(process)
        assert ended_with == exit_code, log.decode()
        taken = way.parts_taken
    assert s3_server.stored(KEY) is None
    if number is signal.SIGTERM:  # a capture that is deleted in the middle of its upload
        there = request.model_copy(update={"endpoint": s3_server.endpoint})
        assert await remove(removal_of(there), tmp_path) == (0, RemovalResult(removed=1))
        assert (await run(there, tmp_path)).result.parts_kept == 0
        return
    again = await run(request.model_copy(update={"endpoint": s3_server.endpoint}), tmp_path)
    assert again.exit_code == 0, again.said
    assert 2 <= taken <= again.result.parts_kept < again.result.parts == 6
    assert s3_server.stored(KEY) == clip_bytes(request)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one part."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("no small disk: only root can mount")
    mounting = _mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place))
    if mounting.returncode:
        pytest.skip(f"no small disk: {mounting.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True, timeout=60)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=60, check=False)


async def test_a_full_bucket_is_told_and_with_room_the_upload_goes_on(
    s3_server_binary: Path, small_disk: Path, tmp_path: Path
) -> None:
    with Children(tmp_path / "s3-logs") as children:
        server = start_s3_server(s3_server_binary, children, small_disk)
        request = make_request(tmp_path / "archive", server.endpoint, size_bytes=THREE_PARTS)
        full = await run(request, tmp_path)
        assert full.exit_code == 75
        assert full.result.error is not None
        assert full.result.error.reason is UploadErrorReason.BUCKET_FULL, full.said
        assert server.stored(KEY) is None
        grown = await asyncio.to_thread(_mount, "-o", "remount,size=128m", str(small_disk))
        assert grown.returncode == 0, grown.stderr
        assert (await run(request, tmp_path)).exit_code == 0
        assert server.stored(KEY) == clip_bytes(request)

"""The process of one upload: `replay-operator upload`. Reads a request, leaves an answer and an exit code.

With `--remove` it deletes clips from the bucket instead.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

import aiohttp
from pydantic import ValidationError

from replay_operator.api.capture_job import ExitCode
from replay_operator.api.removal_job import REMOVAL_REQUEST_VARIABLE, RemovalRequest, RemovalResult
from replay_operator.api.upload_job import (
    UPLOAD_EXIT_CODES,
    UPLOAD_REQUEST_VARIABLE,
    UploadError,
    UploadErrorReason,
    UploadRequest,
    UploadResult,
)
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.removal import remove_clips
from replay_operator.bucket.s3 import S3Object
from replay_operator.bucket.signature import Signer
from replay_operator.bucket.upload import upload_clip
from replay_operator.termination import write_termination_message

_LONGEST = 1024
"""Characters of UploadError.message."""

_EXIT_TERMINATED = 128 + signal.SIGTERM
_log = logging.getLogger(__name__)


def run_upload(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Upload the clip that REPLAY_UPLOAD_REQUEST names, or delete those of REPLAY_REMOVAL_REQUEST.

    Credentials are those of AWS's own tools: variables, a workload identity, or the node's. The answer goes
    to the termination message and, as one line of JSON, to stdout.

    Args:
        arguments: What follows `upload` on the command line: nothing, or `--remove`.
        environment: The process's environment.

    Returns:
        0 verified in the bucket, or gone from it, 65 refused (another attempt will be too), 75 failed
        (another may help).
    """
    description = f"Upload a clip to object storage. {UPLOAD_REQUEST_VARIABLE} is the request."
    parser = argparse.ArgumentParser(prog="replay-operator upload", description=description)
    removes = f"delete the clips that {REMOVAL_REQUEST_VARIABLE} names instead"
    parser.add_argument("--remove", action="store_true", help=removes)
    # As process 1 of a container nothing ends us unless we say so.
    signal.signal(signal.SIGTERM, _terminate)
    if parser.parse_args(arguments).remove:
        return _answer(_removal(environment.get(REMOVAL_REQUEST_VARIABLE, "{}")), environment)
    return _answer(_upload(environment.get(UPLOAD_REQUEST_VARIABLE, "{}")), environment)


def _upload(text: str) -> UploadResult:
    try:
        request = UploadRequest.model_validate_json(text)
    except ValidationError as error:
        return UploadResult(capture_uid="", error=_not_valid(error))
    try:
        return asyncio.run(_upload_within_session(request))
    except UploadFailedError as error:
        told = UploadError(reason=error.reason, message=error.message)
    except Exception as error:  # noqa: BLE001 - the process ends here, and its answer must say why
        told = _unforeseen(error)
    return UploadResult(capture_uid=request.capture_uid, error=told)


def _removal(text: str) -> RemovalResult:
    try:
        request = RemovalRequest.model_validate_json(text)
    except ValidationError as error:
        return RemovalResult(error=_not_valid(error))
    try:
        return asyncio.run(_remove_within_session(request))
    except Exception as error:  # noqa: BLE001 - as above
        return RemovalResult(error=_unforeseen(error))


async def _upload_within_session(request: UploadRequest) -> UploadResult:
    async with aiohttp.ClientSession() as session:
        return await upload_clip(request, _place(session, Signer(request.region), request, request.key))


async def _remove_within_session(request: RemovalRequest) -> RemovalResult:
    async with aiohttp.ClientSession() as session:
        signer = Signer(request.region)
        return await remove_clips(request, lambda key: _place(session, signer, request, key))


def _place(
    session: aiohttp.ClientSession, signer: Signer, request: UploadRequest | RemovalRequest, key: str
) -> S3Object:
    return S3Object(session, signer, endpoint=request.endpoint, bucket=request.bucket, key=key)


def _answer(result: UploadResult | RemovalResult, environment: Mapping[str, str]) -> int:
    text = result.model_dump_json(by_alias=True, exclude_none=True)
    write_termination_message(text, environment)
    sys.stdout.write(text + "\n")
    if result.error is None:
        return ExitCode.MADE
    _log.error("%s: %s", result.error.reason, result.error.message)
    return UPLOAD_EXIT_CODES[result.error.reason]


def _not_valid(error: ValidationError) -> UploadError:
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
    return UploadError(
        reason=UploadErrorReason.BAD_REQUEST, message=f"the request is not valid: {told}"[:_LONGEST]
    )


def _unforeseen(error: Exception) -> UploadError:
    _log.exception("it failed in a way that nobody foresaw", exc_info=error)
    sentence = f"{type(error).__name__}: {error}. This is a fault of the program: report it with the log"
    return UploadError(reason=UploadErrorReason.INTERNAL, message=sentence[:_LONGEST])


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """End the process here and now: there is nothing to unwind, what was sent stays for the next attempt.

    An exception may come up between two steps of the event loop, which loses the second one and waits for
    it for ever, or in a callback that native code makes, which swallows it.
    """
    os._exit(_EXIT_TERMINATED)

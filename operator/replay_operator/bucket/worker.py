"""The process of one upload: `replay-operator upload`. Reads a request, leaves an answer and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

import aiohttp
from pydantic import ValidationError

from replay_operator.api.capture_job import ExitCode
from replay_operator.api.upload_job import (
    UPLOAD_EXIT_CODES,
    UPLOAD_REQUEST_VARIABLE,
    UploadError,
    UploadErrorReason,
    UploadRequest,
    UploadResult,
)
from replay_operator.bucket.failure import UploadFailedError
from replay_operator.bucket.s3 import S3Object
from replay_operator.bucket.signature import Signer
from replay_operator.bucket.upload import upload_clip
from replay_operator.termination import write_termination_message

_EXIT_TERMINATED = 128 + signal.SIGTERM
_log = logging.getLogger(__name__)


def run_upload(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Upload the clip that REPLAY_UPLOAD_REQUEST names.

    Credentials are those of AWS's own tools: variables, a workload identity, or the node's. The answer goes
    to the termination message and, as one line of JSON, to stdout.

    Args:
        arguments: What follows `upload` on the command line: nothing.
        environment: The process's environment.

    Returns:
        0 verified in the bucket, 65 refused (another attempt will be too), 75 failed (another may help).
    """
    description = f"Upload a clip to object storage. {UPLOAD_REQUEST_VARIABLE} is the request."
    argparse.ArgumentParser(prog="replay-operator upload", description=description).parse_args(arguments)
    # As process 1 of a container nothing ends us unless we say so. What was sent stays for the next attempt.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        request = UploadRequest.model_validate_json(environment.get(UPLOAD_REQUEST_VARIABLE, "{}"))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        return _answer(
            _failed("", UploadErrorReason.BAD_REQUEST, f"the request is not valid: {told}"), environment
        )
    try:
        result = asyncio.run(_upload(request))
    except UploadFailedError as error:
        result = _failed(request.capture_uid, error.reason, error.message)
    except Exception as error:  # noqa: BLE001 - the process ends here, and its answer must say why
        _log.exception("the upload failed in a way that nobody foresaw")
        sentence = f"{type(error).__name__}: {error}. This is a fault of the program: report it with the log"
        result = _failed(request.capture_uid, UploadErrorReason.INTERNAL, sentence)
    return _answer(result, environment)


async def _upload(request: UploadRequest) -> UploadResult:
    async with aiohttp.ClientSession() as session:
        place = S3Object(
            session,
            Signer(request.region),
            endpoint=request.endpoint,
            bucket=request.bucket,
            key=request.key,
        )
        return await upload_clip(request, place)


def _answer(result: UploadResult, environment: Mapping[str, str]) -> int:
    text = result.model_dump_json(by_alias=True, exclude_none=True)
    write_termination_message(text, environment)
    sys.stdout.write(text + "\n")
    if result.error is None:
        return ExitCode.MADE
    _log.error("%s: %s", result.error.reason, result.error.message)
    return UPLOAD_EXIT_CODES[result.error.reason]


def _failed(capture_uid: str, reason: UploadErrorReason, message: str) -> UploadResult:
    return UploadResult(capture_uid=capture_uid, error=UploadError(reason=reason, message=message[:1024]))


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(_EXIT_TERMINATED)

"""The process of one capture: `replay-operator capture`.

Reads a request, leaves an answer and an exit code.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from replay_operator.api.capture_job import (
    EXIT_CODES,
    MAX_TERMINATION_MESSAGE_BYTES,
    REQUEST_VARIABLE,
    CaptureError,
    CaptureErrorReason,
    CaptureRequest,
    CaptureResult,
    ExitCode,
    Timings,
)
from replay_operator.api.replaycapture import Holes, Trim, WhenShort
from replay_operator.media.archive import clip_place, write_whole
from replay_operator.media.capture import make_clip
from replay_operator.media.extras import add_extras
from replay_operator.media.failure import CaptureFailedError
from replay_operator.media.publish import published_before
from replay_operator.media.stopwatch import Stopwatch, process_age_milliseconds
from replay_operator.termination import write_termination_message

_EXIT_TERMINATED = 128 + signal.SIGTERM
_CLIP, _EXTRAS = "clip", "extras"

_log = logging.getLogger(__name__)


def run_capture(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Make the clip that the flags or REPLAY_CAPTURE_REQUEST ask for.

    The answer goes to `--result`, to the sidecar beside the clip, to the termination message and, as one
    line of JSON, to stdout. It says how long each part took; only stdout and `--result` know of the extras.

    Args:
        arguments: What follows `capture` on the command line.
        environment: The process's environment.

    Returns:
        0 made, 65 refused (the same request will be refused again), 75 failed (a retry may help).
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    # As process 1 of a container nothing ends us unless we say so. The exception removes the `.part`.
    signal.signal(signal.SIGTERM, _terminate)
    flags = _parser().parse_args(arguments)
    try:
        request = _request(flags, environment)
    except ValidationError as error:
        refused = _failed("", CaptureErrorReason.BAD_REQUEST, f"the request is not valid: {_sentence(error)}")
        return _answer(refused, None, environment, flags.result)
    watch = Stopwatch()
    watch.note("start", process_age_milliseconds())
    if flags.only == _EXTRAS:
        return _add_extras(request, environment, flags.result, watch)
    return _make(request, environment, flags, watch)


def _make(
    request: CaptureRequest, environment: Mapping[str, str], flags: argparse.Namespace, watch: Stopwatch
) -> int:
    result_path = flags.result
    try:
        place, result = make_clip(request, watch)
    except CaptureFailedError as error:
        return _answer(
            _failed(request.capture_uid, error.reason, error.message), request, environment, result_path
        )
    except Exception as error:  # noqa: BLE001 - the process ends here, and its answer must say why
        _log.exception("the capture failed in a way that nobody foresaw")
        sentence = f"{type(error).__name__}: {error}. This is a fault of the program: report it with the log"
        unforeseen = _failed(request.capture_uid, CaptureErrorReason.INTERNAL, sentence)
        return _answer(unforeseen, request, environment, result_path)
    result = _timed(result, watch)
    if flags.only == _CLIP:
        return _answer(result, request, environment, result_path)
    # Said now: whatever becomes of the extras, the clip is there.
    write_termination_message(short_answer(result), environment)
    with watch.measure("extras"):
        result = add_extras(place, result, thumbnail=request.thumbnail)
    return _answer(_timed(result, watch), request, environment, result_path)


def _add_extras(
    request: CaptureRequest, environment: Mapping[str, str], result_path: str | None, watch: Stopwatch
) -> int:
    """Add the extras to the clip that another process of this capture has published. They never fail it."""
    try:
        place = clip_place(request.archive_directory, request.clip_path)
        result = published_before(place, request.capture_uid)
    except CaptureFailedError as error:
        _log.warning("no extras: %s", error.message)
        return ExitCode.MADE
    if result is None:
        _log.warning("no extras: %s is not there (any more)", place.relative)
        return ExitCode.MADE
    with watch.measure("extras"):
        result = add_extras(place, result, thumbnail=request.thumbnail)
    timings = (result.timings or Timings()).model_copy(update={"extras": watch.timings.extras})
    return _answer(result.model_copy(update={"timings": timings}), request, environment, result_path)


def _timed(result: CaptureResult, watch: Stopwatch) -> CaptureResult:
    """Add what is measured by now, unless the clip is that of an earlier attempt."""
    if watch.timings.publish is None:
        return result
    return result.model_copy(update={"timings": watch.timings})


def _answer(
    result: CaptureResult,
    request: CaptureRequest | None,
    environment: Mapping[str, str],
    result_path: str | None,
) -> int:
    write_termination_message(short_answer(result), environment)
    if result_path is not None and not _would_hide_clip(result, request, Path(result_path)):
        _write_result(Path(result_path), result)
    sys.stdout.write(result.model_dump_json(by_alias=True, exclude_none=True) + "\n")
    if result.error is None:
        return ExitCode.MADE
    _log.error("%s: %s", result.error.reason, result.error.message)
    return EXIT_CODES[result.error.reason]


def _write_result(path: Path, result: CaptureResult) -> None:
    try:
        write_whole(path, result.model_dump_json(by_alias=True, exclude_none=True))
    except OSError as error:
        _log.warning("cannot write the result to %s: %s. It is on stdout", path, error.strerror)


def _would_hide_clip(result: CaptureResult, request: CaptureRequest | None, path: Path) -> bool:
    """Say whether a failure would be written over the sidecar of a clip that is there."""
    if result.error is None or request is None:
        return False
    clip = Path(request.archive_directory, request.clip_path)
    return clip.exists() and clip.with_suffix(".json").resolve() == path.resolve()


def short_answer(result: CaptureResult, most_bytes: int = MAX_TERMINATION_MESSAGE_BYTES) -> str:
    """Write the result as JSON that fits a termination message.

    Timings are left out, and as many of the last holes and gaps, or of an error's last words, as must be.

    Args:
        result: The result.
        most_bytes: Room for it.
    """
    shown: CaptureResult | None = result.model_copy(update={"timings": None})
    text = ""
    while shown is not None:
        text = shown.model_dump_json(by_alias=True, exclude_none=True)
        shown = _shorter(shown) if len(text.encode()) > most_bytes else None
    return text


def _shorter(result: CaptureResult) -> CaptureResult | None:
    clip, error = result.clip, result.error
    if error is not None and error.message:
        # A character takes up to six bytes in JSON, and the kubelet cuts without looking.
        words = error.message[: len(error.message) * 3 // 4]
        return result.model_copy(update={"error": error.model_copy(update={"message": words})})
    if clip is None or not (clip.holes or clip.gaps):
        return None
    if len(clip.gaps) >= len(clip.holes):
        shorter = {"gaps": clip.gaps[:-1], "gaps_omitted": clip.gaps_omitted + 1}
    else:
        shorter = {"holes": clip.holes[:-1], "holes_omitted": clip.holes_omitted + 1}
    return result.model_copy(update={"clip": clip.model_copy(update=shorter)})


def _failed(capture_uid: str, reason: CaptureErrorReason, message: str) -> CaptureResult:
    return CaptureResult(capture_uid=capture_uid, error=CaptureError(reason=reason, message=message[:1024]))


def _sentence(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(_EXIT_TERMINATED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay-operator capture",
        description=f"Cut a clip from a buffer. Without --buffer, {REQUEST_VARIABLE} is the request.",
    )
    parser.add_argument("--buffer", metavar="DIR", help="directory of a buffer, or of one of its runs")
    parser.add_argument("--start", metavar="RFC3339", help="first instant")
    parser.add_argument("--end", metavar="RFC3339", help="last instant")
    parser.add_argument("--output", metavar="FILE.mp4", help="the clip")
    parser.add_argument(
        "--wait-until", metavar="RFC3339", help="wait so long for the last instant to come to the disk"
    )
    parser.add_argument("--trim", choices=[t.value for t in Trim], default=Trim.EXACT.value)
    parser.add_argument("--holes", choices=[h.value for h in Holes], default=Holes.KEEP.value)
    parser.add_argument("--when-short", choices=[w.value for w in WhenShort], default=WhenShort.CLAMP.value)
    parser.add_argument("--title", help="title written into the MP4")
    parser.add_argument("--no-thumbnail", action="store_true", help="no picture beside the clip")
    parser.add_argument(
        "--only",
        choices=[_CLIP, _EXTRAS],
        help="make the clip and leave digest and picture out, or add them to a clip that is there",
    )
    parser.add_argument("--result", metavar="FILE.json", help="where to write the answer")
    return parser


def _request(flags: argparse.Namespace, environment: Mapping[str, str]) -> CaptureRequest:
    """Build the request.

    Raises:
        ValidationError: A value is missing or makes no sense.
    """
    if flags.buffer is None:
        return CaptureRequest.model_validate_json(environment.get(REQUEST_VARIABLE, "{}"))
    output = Path(flags.output).absolute() if flags.output else None
    asked = {
        "buffer_directory": flags.buffer,
        "start": flags.start,
        "end": flags.end,
        "trim": flags.trim,
        "holes": flags.holes,
        "when_short": flags.when_short,
        "archive_directory": str(output.parent) if output else None,
        "clip_path": output.name if output else None,
        "title": flags.title,
        "thumbnail": not flags.no_thumbnail,
    }
    # The same command twice is the same capture, and meets its own clip.
    uid = hashlib.sha256(repr(sorted(asked.items())).encode()).hexdigest()[:16]
    return CaptureRequest.model_validate(
        {"capture_uid": f"cli-{uid}", "wait_until": flags.wait_until, **asked}
    )

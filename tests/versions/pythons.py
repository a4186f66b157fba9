"""Environments with another Python: found on the PATH or in pyenv, made from the same lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.testbed.build_cache import key_of_files

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "dev.lock"


def candidates(version: str, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Give where an interpreter of this version may be, best first.

    Args:
        version: Such as `3.13`.
        environment: PATH, HOME and PYENV_ROOT.
    """
    found = shutil.which(f"python{version}", path=environment.get("PATH", ""))
    home = Path(environment.get("PYENV_ROOT") or Path(environment.get("HOME", "/")) / ".pyenv")
    kept = newest_first(path.name for path in home.glob(f"versions/{version}.*"))
    in_pyenv = [home / "versions" / name / "bin" / "python" for name in kept]
    return [Path(found), *in_pyenv] if found else in_pyenv


def newest_first(names: Iterable[str]) -> list[str]:
    """Sort versions of three numbers; names of another form are left out.

    Args:
        names: Such as `3.13.0`.
    """
    plain = [name for name in names if re.fullmatch(r"\d+\.\d+\.\d+", name)]
    return sorted(plain, key=lambda name: [int(part) for part in name.split(".")], reverse=True)


def interpreter(version: str) -> Path | None:
    """Give an interpreter that runs and is of this version; None when there is none.

    Args:
        version: Such as `3.13`.
    """
    ask = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    for path in candidates(version):
        try:
            told = subprocess.run([path, "-c", ask], check=True, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            continue  # one of pyenv's shims, which find a version only where one is chosen
        if told.stdout.strip() == version:
            return path
    return None


def environment_of(version: str, python: Path) -> Path:
    """Make `.venv-<version>` as `make setup` makes `.venv`, unless it is there; give its interpreter.

    Args:
        version: Such as `3.13`.
        python: An interpreter of that version.

    Raises:
        subprocess.CalledProcessError: A package cannot be installed there.
    """
    directory = ROOT / f".venv-{version}"
    made, stamp, key = directory / "bin" / "python", directory / ".stamp", key_of_files([LOCK])
    if stamp.exists() and stamp.read_text() == key:
        return made
    subprocess.run([python, "-m", "venv", "--clear", directory], check=True)
    pip: list[str | Path] = [made, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", LOCK], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)
    stamp.write_text(key)
    return made

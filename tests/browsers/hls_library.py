"""Finds the player library: the same locked package that the image holds, in the cache outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.testbed.build_cache import built_once, cache_directory, key_of_files

PACKAGE = Path(__file__).parents[2] / "operator" / "player"
LIBRARY = "node_modules/hls.js/dist/hls.light.min.js"


def hls_library() -> Path:
    """Give hls.js, fetched by npm where it is not there yet. Skips the test where it cannot be had."""
    files = [PACKAGE / name for name in ("package.json", "package-lock.json")]

    def install(directory: Path) -> None:
        if shutil.which("npm") is None:
            pytest.skip("no npm: there is no player for the preview")
        for file in files:
            shutil.copy(file, directory)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(directory)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
        if done.returncode:
            pytest.skip(f"hls.js cannot be had: {done.stderr[-300:]}")

    return built_once(cache_directory(os.environ), "hls.js", key_of_files(files), install) / LIBRARY

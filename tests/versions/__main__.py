"""`make versions`: unit and media tests for each Python and each ffmpeg, and a table of what came out."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.versions.ffmpegs import FFMPEGS, INSTALLED, directory_of, is_directory, path_with
from tests.versions.pythons import ROOT, environment_of, interpreter

EVERY_PYTHON = ("tests/unit", "tests/media")
EVERY_FFMPEG = ("tests/media", "tests/agent")


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of tests. An empty `left_out` means that it can be run."""

    name: str
    python: Path
    ffmpeg: Path | None
    tests: tuple[str, ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out of a leg: the last line that pytest printed."""

    name: str
    passed: bool | None
    words: str


def table(outcomes: Sequence[Outcome]) -> str:
    """Write the outcomes for people.

    Args:
        outcomes: In the order of the lines.
    """
    marks = {True: "ok", False: "FAILED", None: "left out"}
    width = max((len(outcome.name) for outcome in outcomes), default=0)
    return "\n".join(f"{each.name:<{width}}  {marks[each.passed]:<8}  {each.words}" for each in outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Give 1 when a leg failed. One that is left out is no failure, and no success either: the table says it.

    Args:
        outcomes: All.
    """
    return int(any(outcome.passed is False for outcome in outcomes))


def planned(pythons: Sequence[str], ffmpegs: Sequence[str], tests: Sequence[str]) -> list[Leg]:
    """Find what is needed for each leg.

    Args:
        pythons: Versions such as `3.13`.
        ffmpegs: As for `directory_of`.
        tests: What to run in place of the usual.
    """
    legs = []
    for version in pythons:
        found = interpreter(version)
        left_out = "" if found else f"there is no Python {version} here"
        python = environment_of(version, found) if found else Path(sys.executable)
        legs.append(Leg(f"Python {version}", python, None, tuple(tests) or EVERY_PYTHON, left_out))
    for version in ffmpegs:
        directory = directory_of(version)
        legs.append(Leg(f"ffmpeg {version}", Path(sys.executable), directory, tuple(tests) or EVERY_FFMPEG))
    return legs


def carried_out(leg: Leg) -> Outcome:
    """Run the tests of a leg; what pytest prints goes to the terminal as it comes.

    Args:
        leg: What to run.
    """
    if leg.left_out:
        return Outcome(leg.name, None, leg.left_out)
    print(f"versions: {leg.name}: {' '.join(leg.tests)}", flush=True)
    path = path_with(leg.ffmpeg, os.environ["PATH"])
    began, last = time.monotonic(), "nothing was printed"
    command: list[str | Path] = [leg.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *leg.tests]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, text=True
    ) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    seconds = time.monotonic() - began
    return Outcome(leg.name, running.returncode == 0, f"{last} ({seconds:.0f} s)")


def main() -> int:
    """Run all legs, also when one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__)
    parser.add_argument("--pythons", default="3.11,3.13", help="with commas between them; may be empty")
    parser.add_argument(
        "--ffmpegs",
        default=",".join([INSTALLED, *FFMPEGS]),
        help=f"{INSTALLED}, {', '.join(FFMPEGS)}, or a directory; may be empty",
    )
    parser.add_argument("tests", nargs="*", help="what to run in place of the usual folders")
    asked = parser.parse_args()
    pythons, ffmpegs = ([part for part in text.split(",") if part] for text in (asked.pythons, asked.ffmpegs))
    unknown = sorted({name for name in ffmpegs if not is_directory(name)} - {INSTALLED, *FFMPEGS})
    if unknown:
        parser.error(f"no package with ffmpeg {', '.join(unknown)} is known: see tests/versions/ffmpegs.py")
    outcomes = [carried_out(leg) for leg in planned(pythons, ffmpegs, asked.tests)]
    print(table(outcomes))
    return exit_code(outcomes)


if __name__ == "__main__":
    sys.exit(main())

"""`make versions`: tests for each Python, ffmpeg, livekit-server and Kubernetes, and what came out."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed import kubernetes_version
from tests.versions.ffmpegs import FFMPEGS, INSTALLED, directory_of, is_directory, path_with
from tests.versions.pythons import ROOT, environment_of, interpreter

EVERY_PYTHON = ("tests/unit", "tests/media")
EVERY_FFMPEG = ("tests/media", "tests/agent")
EVERY_LIVEKIT = ("tests/livekit",)
EVERY_KUBERNETES = ("tests/testbed", "tests/cluster")


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of tests. An empty `left_out` means that it can be run; `variables` go into its environment."""

    name: str
    tests: tuple[str, ...]
    python: Path = Path(sys.executable)
    ffmpeg: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which versions of what are wanted.

    Attributes:
        pythons: Such as `3.13`.
        ffmpegs: As for `directory_of`.
        livekits: Releases of livekit-server, such as `v1.11.0`.
        kubernetes: Releases of the control plane, such as `1.34.4`.
        tests: What to run in place of the usual.
    """

    pythons: tuple[str, ...] = ()
    ffmpegs: tuple[str, ...] = ()
    livekits: tuple[str, ...] = ()
    kubernetes: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


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


def planned(asked: Asked) -> list[Leg]:
    """Find what is needed for each leg.

    Args:
        asked: The versions.
    """
    return [
        *(_with_python(version, asked.tests or EVERY_PYTHON) for version in asked.pythons),
        *(
            Leg(f"ffmpeg {version}", asked.tests or EVERY_FFMPEG, ffmpeg=directory_of(version))
            for version in asked.ffmpegs
        ),
        *(
            Leg(
                f"livekit-server {version}",
                asked.tests or EVERY_LIVEKIT,
                variables={"LIVEKIT_SERVER_VERSION": version},
            )
            for version in asked.livekits
        ),
        *(
            Leg(
                f"Kubernetes {version}",
                asked.tests or EVERY_KUBERNETES,
                variables={kubernetes_version.VARIABLE: version},
            )
            for version in asked.kubernetes
        ),
    ]


def _with_python(version: str, tests: tuple[str, ...]) -> Leg:
    found = interpreter(version)
    if found is None:
        return Leg(f"Python {version}", tests, left_out=f"there is no Python {version} here")
    return Leg(f"Python {version}", tests, python=environment_of(version, found))


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
        command,
        cwd=ROOT,
        env={**os.environ, **leg.variables, "PATH": path},
        stdout=subprocess.PIPE,
        text=True,
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
    parser.add_argument("--livekits", default="", help="releases of livekit-server, as v1.11.0")
    parser.add_argument("--kubernetes", default="", help="releases of the control plane, as 1.34.4")
    parser.add_argument("tests", nargs="*", help="what to run in place of the usual folders")
    told = parser.parse_args()
    asked = Asked(
        *(_listed(text) for text in (told.pythons, told.ffmpegs, told.livekits, told.kubernetes)), told.tests
    )
    unknown = sorted({name for name in asked.ffmpegs if not is_directory(name)} - {INSTALLED, *FFMPEGS})
    if unknown:
        parser.error(f"no package with ffmpeg {', '.join(unknown)} is known: see tests/versions/ffmpegs.py")
    outcomes = [carried_out(leg) for leg in planned(asked)]
    print(table(outcomes))
    return exit_code(outcomes)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


if __name__ == "__main__":
    sys.exit(main())

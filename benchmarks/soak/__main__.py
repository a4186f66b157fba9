"""Hours of churn, captures and faults on the whole system: `python -m benchmarks.soak --hours 1`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

from benchmarks.soak.figures import Sample, costs, lines, table
from benchmarks.soak.measuring import GONE, KEPT, Sampler
from benchmarks.soak.schedule import Deed, DeedKind, Rates, deeds
from tests.chaos.bed import running_scene
from tests.chaos.calm import wait_until_calm, wait_until_nothing_is_left_over
from tests.chaos.executor import Executor
from tests.chaos.scene import Scene
from tests.testbed.api_front import serving_in_a_thread
from tests.testbed.controlplane import ControlPlane

CAPTURE_TTL_SECONDS = 60


class Soak:
    """One run."""

    def __init__(self, scene: Scene, executor: Executor, *, seconds: float, sample_seconds: float) -> None:
        """Take what is soaked.

        Args:
            scene: The system.
            executor: Makes faults happen.
            seconds: How long.
            sample_seconds: From one look to the next.
        """
        self._scene = scene
        self._executor = executor
        self._sampler = Sampler(scene)
        self._end = time.monotonic() + seconds
        self._sample_seconds = sample_seconds
        self._next_look = 0.0
        self._done: Counter[str] = Counter()
        self.samples: list[Sample] = []

    def run(self, rates: Rates, *, seed: int, with_restarts: bool) -> None:
        """Do deeds until the time is over, then tidy up and look for the last time.

        Args:
            rates: How often what is done.
            seed: Of the deeds.
            with_restarts: Also faults that end operator or agent.

        Raises:
            AssertionError: The system did not become calm after a fault, or something was left over.
        """
        for deed in deeds(seed=seed, rates=rates, with_restarts=with_restarts):
            self._pass_time(deed.pause_seconds)
            if time.monotonic() >= self._end:
                break
            self._do(deed)
            self._done[deed.kind] += 1
        self._scene.stack.kubectl("delete", "rcap", "--all")
        wait_until_nothing_is_left_over(self._scene)
        self._look()

    def _do(self, deed: Deed) -> None:
        number = deed.target % len(self._scene.buffers)
        buffer = self._scene.buffers[number]
        if deed.kind is DeedKind.CHURN:
            self._scene.replace_buffer(number)
        elif deed.kind is DeedKind.CAPTURE:
            name = f"{KEPT if deed.keeps_clip else GONE}-{uuid.uuid4().hex[:8]}"
            policy = "Retain" if deed.keeps_clip else "Delete"
            self._scene.make_capture(
                name, buffer, deletionPolicy=policy, ttlSecondsAfterFinished=CAPTURE_TTL_SECONDS
            )
        elif deed.fault is not None:
            _say(f"{deed.fault.kind}, {deed.fault.seconds} s")
            self._executor.run((deed.fault,))
            wait_until_calm(self._scene)

    def _pass_time(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._end)
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() >= self._next_look:
                self._look()
            threading.Event().wait(min(left, max(0.0, self._next_look - time.monotonic())))

    def _look(self) -> None:
        self._next_look = time.monotonic() + self._sample_seconds
        self.samples.append(self._sampler.sample(self._done))
        newest = self.samples[-1]
        told = ", ".join(f"{name} {found.rss_mib:.0f} MiB" for name, found in newest.processes.items())
        _say(f"{newest.at_seconds:.0f} s: {told}; {newest.writes} writes; {newest.orphans} orphans")


def main() -> int:
    """Run it; the table goes to standard output, progress to standard error. 1 when something grows."""
    asked = _parser().parse_args()
    rates = Rates(captures=asked.captures, churns=asked.churns, faults=asked.faults)
    load = os.getloadavg()
    wrong = ""
    with (
        ControlPlane() as plane,
        serving_in_a_thread(plane) as front,
        tempfile.TemporaryDirectory(prefix="replay-soak-") as directory,
        running_scene(plane, front, Path(directory), buffers=asked.buffers) as scene,
    ):
        soak = Soak(
            scene,
            Executor(scene, front),
            seconds=asked.hours * 3600,
            sample_seconds=asked.sample_seconds,
        )
        try:
            soak.run(rates, seed=asked.seed, with_restarts=asked.restarts)
        except AssertionError as error:
            wrong = str(error)  # the figures up to here are worth seeing
    found = lines(soak.samples)
    print("\n".join([*table(found), "", *costs(soak.samples)]))
    print(f"load average: {load[0]:.1f} before, {os.getloadavg()[0]:.1f} after; seed {asked.seed}")
    if asked.json:
        kept = [dataclasses.asdict(sample) for sample in soak.samples]
        asked.json.write_text(json.dumps(kept, indent=1) + "\n")
    if wrong:
        print(f"\nNOT CALM:\n{wrong}")
    return int(bool(wrong) or any(each.verdict == "GROWS" for each in found) or soak.samples[-1].orphans > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--buffers", type=int, default=6)
    parser.add_argument("--captures", type=float, default=4.0, help="a minute, in the mean (default: 4)")
    parser.add_argument("--churns", type=float, default=0.5, help="buffers replaced a minute (default: 0.5)")
    parser.add_argument("--faults", type=float, default=0.2, help="a minute (default: 0.2)")
    parser.add_argument("--restarts", action="store_true", help="also faults that end operator or agent")
    parser.add_argument("--sample-seconds", type=float, default=15.0)
    parser.add_argument("--json", type=Path, help="also write every sample here")
    return parser


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} soak: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Waits until the system is calm again, and says what was still wrong when it is not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from tests.chaos.invariants import leftovers, troubles
from tests.chaos.scene import Scene

CALM_WITHIN_SECONDS = 180.0
_LOOK_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Calm:
    """When nothing was wrong any more.

    Attributes:
        after_seconds: Since the wait began; the wait for the segments is not counted.
        at_ns: Unix nanoseconds. All that was recorded until then is on disk.
    """

    after_seconds: float
    at_ns: int


def wait_until_calm(scene: Scene) -> Calm:
    """Wait until nothing is wrong and every buffer's segments reach beyond that moment.

    Args:
        scene: Where to look.

    Raises:
        AssertionError: It did not become calm; with what was wrong.
    """
    calm = Calm(wait_until_nothing_is_wrong(scene), time.time_ns())
    wait_until_on_disk(scene, calm.at_ns)
    return calm


def wait_until_on_disk(scene: Scene, instant_ns: int) -> None:
    """Wait until the segments of every buffer reach beyond an instant.

    Args:
        scene: Where to look.
        instant_ns: Unix nanoseconds.

    Raises:
        AssertionError: They did not.
    """
    begun = time.monotonic()
    while not scene.is_on_disk(instant_ns):
        _or_give_up(scene, begun, ["not every buffer has segments from after the storm"])


def wait_until_nothing_is_wrong(scene: Scene) -> float:
    """Wait until a look finds nothing wrong.

    Args:
        scene: Where to look.

    Returns:
        How long that took, in seconds.

    Raises:
        AssertionError: Something was wrong for too long; with what it was.
    """
    begun = time.monotonic()
    while wrong := troubles(scene.look()):
        _or_give_up(scene, begun, wrong)
    return time.monotonic() - begun


def wait_until_nothing_is_left_over(scene: Scene) -> float:
    """Wait until nothing is wrong, and no directory is left of a buffer that is gone.

    Args:
        scene: Where to look.

    Returns:
        How long that took, in seconds.

    Raises:
        AssertionError: Something was left over for too long; with what it was.
    """
    begun = time.monotonic()
    while wrong := [*troubles(seen := scene.look()), *leftovers(seen)]:
        _or_give_up(scene, begun, wrong)
    return time.monotonic() - begun


def _or_give_up(scene: Scene, begun: float, wrong: list[str]) -> None:
    if time.monotonic() > begun + CALM_WITHIN_SECONDS:
        log = scene.stack.kubectl("logs", "--tail=80", "-l", "app.kubernetes.io/name=replay-operator")
        raise AssertionError("\n".join(["not calm:", *wrong, scene.stack.describe(), log]))
    threading.Event().wait(_LOOK_EVERY_SECONDS)  # a pause between two looks, not a guess at when it is over

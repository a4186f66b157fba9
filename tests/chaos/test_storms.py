"""Several faults at once, from a seed: afterwards everything is as it must be."""

from __future__ import annotations

import uuid

from tests.chaos.calm import wait_until_calm, wait_until_nothing_is_left_over
from tests.chaos.executor import Executor
from tests.chaos.plan import Fault
from tests.chaos.scene import Scene


def test_after_a_storm_every_source_is_recorded_once_and_nothing_is_left_over(
    whole: Scene, executor: Executor, storm: tuple[Fault, ...]
) -> None:
    for fault in storm:
        print(f"storm: {fault.kind}, target {fault.target}, {fault.seconds} s, then {fault.pause_seconds} s")
    whole.make_capture(f"moment-{uuid.uuid4().hex[:8]}", whole.buffers[storm[0].target % len(whole.buffers)])
    executor.run(storm)
    calm = wait_until_calm(whole)
    whole.close_account(calm.at_ns)
    whole.stack.kubectl("delete", "rcap", "--all")
    clean_seconds = wait_until_nothing_is_left_over(whole)
    print(f"storm: calm after {calm.after_seconds:.1f} s, nothing left over {clean_seconds:.1f} s later")

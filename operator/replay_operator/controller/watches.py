"""kopf's part: it keeps the watches, and has no say in how the process ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import kopf

from replay_operator.controller.handlers import Inbox, build_registry, kopf_settings
from replay_operator.controller.stop_signals import StopSignals
from replay_operator.settings import OperatorSettings


async def run_watches(settings: OperatorSettings, inbox: Inbox, signals: StopSignals) -> None:
    """Keep the watches until one of kopf's tasks ends by itself; cancel it to stop.

    kopf puts its own handlers in the place of ours for SIGTERM and SIGINT. They would wait 5 s for all tasks
    of the loop, which are mostly ours, and a second signal would raise in them. So it is started in its two
    documented steps, and the signals are taken back in between.

    Args:
        settings: What the install decides.
        inbox: Where the handlers put what they hear.
        signals: Whose the signals are.
    """
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=build_registry(inbox, fleet_selector=settings.fleet_selector),
        settings=kopf_settings(fleet_selector=settings.fleet_selector),
        namespaces=[settings.namespace],
        # Else kopf looks the user up, whom no image knows when the cluster assigned the number.
        identity=cast("Any", settings.pod_name),
    )
    signals.listen()
    await kopf.run_tasks(tasks, ignored=ours)

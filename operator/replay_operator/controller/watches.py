"""kopf's part: it keeps the watches, and has no say in how the process ends."""

from __future__ import annotations

import asyncio
import logging
import os
from http import HTTPStatus
from pathlib import Path
from types import CoroutineType
from typing import Any, cast

import kopf

from replay_operator.controller.handlers import Inbox, build_registry, kopf_settings
from replay_operator.controller.stop_signals import StopSignals
from replay_operator.settings import OperatorSettings

PAUSE_SECONDS = 1.0
"""Before watches begin anew that the API server refused: it may refuse them again."""

END_ROUNDS, ROUND_SECONDS = 5, 1.0
"""How often kopf's tasks are told to end, and how long they may take each time."""

_KOPF = f"{Path(kopf.__file__).parent}{os.sep}"
_TOGGLES = f"{os.sep}aiotoggles.py"

log = logging.getLogger(__name__)


async def run_watches(settings: OperatorSettings, inbox: Inbox, signals: StopSignals) -> None:
    """Keep the watches until one of kopf's tasks ends by itself; cancel it to stop.

    A version that the API server no longer has is mostly told within a watch, and kopf lists again. Told as
    the answer to the request (HTTP 410) it ends kopf, which is started again then.

    Args:
        settings: What the install decides.
        inbox: Where the handlers put what they hear.
        signals: Whose the signals are.
    """
    while True:
        try:
            return await _watch(settings, inbox, signals)
        except Exception as error:
            # kopf does not export the class of its errors, which all have the status.
            if getattr(error, "status", None) != HTTPStatus.GONE:
                raise
            log.warning("the API server no longer has the version of a watch: all watches begin anew")
        await asyncio.sleep(PAUSE_SECONDS)


async def _watch(settings: OperatorSettings, inbox: Inbox, signals: StopSignals) -> None:
    """Run kopf once.

    It puts its own handlers in the place of ours for SIGTERM and SIGINT, where a second signal would raise:
    so the signals are taken back. And its own way to run what it has spawned would at the end wait for all
    tasks of the loop that began after it, which are mostly ours, and cancel them: so its tasks are awaited
    and ended here.
    """
    tasks = await kopf.spawn_tasks(
        registry=build_registry(inbox, fleet_selector=settings.fleet_selector),
        settings=kopf_settings(fleet_selector=settings.fleet_selector),
        namespaces=[settings.namespace],
        # Else kopf looks the user up, whom no image knows when the cluster assigned the number.
        identity=cast("Any", settings.pod_name),
    )
    signals.listen()
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end_kopf()
    for task in ended:
        task.result()


async def _end_kopf() -> None:
    """End the tasks of kopf's; a watch that went on would be there twice."""
    for _ in range(END_ROUNDS):
        tasks = {task for task in asyncio.all_tasks() if _is_kopfs(task)}
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=ROUND_SECONDS)
    log.warning("%d tasks of kopf's do not end", len(tasks))


def _is_kopfs(task: asyncio.Task[Any]) -> bool:
    """Tell whether kopf has made a task, and nobody else ends it.

    Each watch has a task that waits for a pause, and ends it. Where that was cancelled first, the watch takes
    its own cancellation for the pause, and goes on.
    """
    coroutine = task.get_coro()
    if not isinstance(coroutine, CoroutineType):
        return False
    made_in = coroutine.cr_code.co_filename
    return made_in.startswith(_KOPF) and not made_in.endswith(_TOGGLES)

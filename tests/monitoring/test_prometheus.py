"""A real Prometheus reads operator and agent: every query of dashboard and alerts finds what it asks for.

The operator is put together as in its process, with a scripted outside, and the agent is a real one. What is
lacking here by design is listed with the reason.
"""

from __future__ import annotations

import asyncio
import math
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from replay_operator.controller.health import serve_health
from replay_operator.controller.keys import Key, Kind
from replay_operator.controller.live_figures import LiveFigures
from tests.agent.rig import TOKEN, MovedClock, buffer_policy, make_rig
from tests.builders import BUFFER_UID, at, rfc3339
from tests.contract.rig import Outside, Rig
from tests.contract.test_capture_flow import DONE, until_cutting
from tests.fleet_pods import pod_body
from tests.monitoring.panels import ROWS
from tests.monitoring.rules import alerts, program
from tests.monitoring.server import Prometheus, prometheus

NAMESPACE = "replay"

BY_DESIGN = {
    "Failures by reason": "no capture has failed",
    "Writes to the buffer volume: budget": "the install has none",
    "Catalogue: captures refused by a quota, last hour": "no owner has a quota here",
    "Time to object storage: 95 %": "the install has no bucket",
    "Failed attempts to upload, by reason": "the same",
    'replay_buffer_capture_errors_total{error_type="QuotaExceeded"}': "the same",
    'replay_operator_buffers{state="WaitingForCapacity"}': "no buffer was ever in that state",
}
"""What is empty while all is well."""

OUTSIDE_IS_SCRIPTED = {
    "Writes to the Kubernetes API": "there is no API server here",
}


@pytest.fixture
async def operator() -> Rig:
    """A leader with a worker, whose one buffer records."""
    rig = Rig(Outside())
    LiveFigures(rig.operator, rig.metrics)
    rig.operator.inbox.fleet_pod("ADDED", pod_body("worker"))
    rig.user_creates_buffer(windowSeconds=14400)
    await rig.bring_up()
    return rig


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[str]:
    """An agent that has looked at everything once; its address."""
    for name in ("buffer", "token"):
        (tmp_path / name).mkdir()
    (tmp_path / "token" / "token").write_text(TOKEN)
    rig = make_rig(tmp_path / "buffer", tmp_path / "token", [], MovedClock())
    await rig.start()
    await rig.agent.scan()
    await rig.put_policy(buffer_policy())
    await rig.agent.keep_floor()
    await rig.agent.measure_archive()
    yield f"127.0.0.1:{rig.client.port}"
    await rig.stop()


@pytest.fixture
async def server(operator: Rig, agent: str, tmp_path: Path) -> AsyncIterator[Prometheus]:
    async with AsyncExitStack() as stack:
        health = await serve_health(
            bind_address="127.0.0.1",
            port=0,
            metrics=operator.metrics,
            why_dead=lambda: None,
            is_ready=lambda: True,
        )
        stack.push_async_callback(health.cleanup)
        targets = {agent: "agent", f"127.0.0.1:{health.addresses[0][1]}": "operator"}
        labels = {target: {"namespace": NAMESPACE, "pod": pod} for target, pod in targets.items()}
        (tmp_path / "prometheus").mkdir()
        found = await asyncio.to_thread(
            stack.enter_context, prometheus(program("prometheus"), tmp_path / "prometheus", labels)
        )
        await until(lambda: len(found.values("up == 1")) == len(targets))
        yield found


async def until(holds: Callable[[], bool]) -> None:
    """Ask Prometheus again and again, in a thread: this loop serves what it scrapes."""
    async with asyncio.timeout(120):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - another process decides, and tells nobody
            await asyncio.sleep(0.2)


async def make_a_clip(rig: Rig) -> None:
    rig.user_creates_capture(range={"last": {"seconds": 10, "until": rfc3339(at(13))}})
    await until_cutting(rig)
    rig.job_ends(rig.job_names[0], condition="Complete", message=DONE)
    await rig.reconcile_capture()
    await rig.operator.coverage.refresh()


async def test_every_query_of_dashboard_and_alerts_finds_what_it_asks_for(
    operator: Rig, server: Prometheus
) -> None:
    wanted = {
        f"{shown.title}{f': {query.legend}' if len(shown.queries) > 1 else ''}": query.expr
        for panels in ROWS.values()
        for shown in panels
        for query in shown.queries
    }
    wanted = {name: expr.replace("$namespace", NAMESPACE) for name, expr in wanted.items()}
    for rule in alerts().values():
        wanted |= {found: found for found in re.findall(r"replay_\w+(?:{[^}]*})?", rule["expr"])}
    lacking = {"everything": list[float]()}

    def all_found() -> bool:
        lacking.clear()
        for name, expr in wanted.items():
            values = server.values(expr)
            if all(math.isnan(value) for value in values):
                lacking[name] = values
        return lacking.keys() <= BY_DESIGN.keys() | OUTSIDE_IS_SCRIPTED.keys()

    await operator.operator.reconcile(Key(Kind.BUFFER, BUFFER_UID))
    await until(lambda: bool(server.values("replay_operator_reconciles_total")))
    await operator.operator.reconcile(Key(Kind.BUFFER, BUFFER_UID))
    await operator.look()
    await make_a_clip(operator)
    try:
        await until(all_found)
    except TimeoutError:
        pytest.fail(f"nothing is found for {lacking}")
    assert len(wanted) > 60


async def test_every_rule_can_be_evaluated_and_none_fires(server: Prometheus) -> None:
    def evaluated() -> bool:
        rules = [rule for group in server.ask("rules")["groups"] for rule in group["rules"]]
        return len(rules) == len(alerts()) and all(rule["health"] == "ok" for rule in rules)

    await until(evaluated)
    raised = await asyncio.to_thread(server.ask, "alerts")
    assert [a["labels"]["alertname"] for a in raised["alerts"] if a["state"] == "firing"] == []


async def test_the_pages_are_as_prometheus_wants_them(operator: Rig, agent: str) -> None:
    await make_a_clip(operator)
    async with aiohttp.ClientSession() as session, session.get(f"http://{agent}/metrics") as answer:
        pages = [operator.metrics.page().body, await answer.read()]
    for page in pages:
        promtool = [program("promtool"), "check", "metrics"]
        checked = await asyncio.to_thread(
            subprocess.run, promtool, input=page, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")

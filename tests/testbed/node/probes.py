"""Start-up, readiness and liveness probes of one container."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from tests.testbed.node.api import Json
from tests.testbed.node.containers import ContainerProcess

_IMPATIENT_SECONDS = 0.25  # between probes of a container that is not ready, whatever its period
_HTTP_OK = range(200, 400)
_KILL_AFTER_FAILURES = 3


@dataclass(frozen=True)
class Probe:
    """A probe of the pod with the kubelet's defaults filled in. Times in seconds."""

    action: Json
    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    failure_threshold: int
    success_threshold: int

    @classmethod
    def parse(cls, written: Json | None) -> "Probe | None":
        """From `readinessProbe` and its like; None when there is none."""
        if written is None:
            return None
        return cls(
            action=written,
            initial_delay_seconds=written.get("initialDelaySeconds", 0),
            period_seconds=written.get("periodSeconds", 10),
            timeout_seconds=written.get("timeoutSeconds", 1),
            failure_threshold=written.get("failureThreshold", _KILL_AFTER_FAILURES),
            success_threshold=written.get("successThreshold", 1),
        )


def resolve_port(container: Json, port: int | str) -> int:
    """A port number, or the number behind a port's name."""
    if isinstance(port, int):
        return port
    named = {item.get("name"): int(item["containerPort"]) for item in container.get("ports", [])}
    return named[port] if port in named else int(port)


class Prober:
    """Runs single probes against one container."""

    def __init__(self, container: Json, pod_ip: str, process: ContainerProcess) -> None:
        self._container = container
        self._pod_ip = pod_ip
        self._process = process

    async def succeeds(self, probe: Probe) -> bool:
        """One attempt; anything but success within the time-out is a failure."""
        try:
            async with asyncio.timeout(probe.timeout_seconds):
                if "httpGet" in probe.action:
                    return await self._http(probe.action["httpGet"])
                if "tcpSocket" in probe.action:
                    return await self._tcp(probe.action["tcpSocket"])
                return await self._exec(probe.action["exec"])
        except (OSError, aiohttp.ClientError, TimeoutError):
            return False

    async def _http(self, action: Json) -> bool:
        scheme = action.get("scheme", "HTTP").lower()
        host = action.get("host") or self._pod_ip
        url = f"{scheme}://{host}:{resolve_port(self._container, action['port'])}{action.get('path', '/')}"
        headers = {item["name"]: item["value"] for item in action.get("httpHeaders", [])}
        # The kubelet does not verify certificates of probed containers either.
        connector = aiohttp.TCPConnector(ssl=_unverified() if scheme == "https" else True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status in _HTTP_OK

    async def _tcp(self, action: Json) -> bool:
        host = action.get("host") or self._pod_ip
        _, writer = await asyncio.open_connection(host, resolve_port(self._container, action["port"]))
        writer.close()
        return True

    async def _exec(self, action: Json) -> bool:
        plan, credentials = self._process.plan, self._process.plan.credentials
        groups = ",".join(map(str, credentials.groups))
        user = [f"--reuid={credentials.uid}", f"--regid={credentials.gid}", "--bounding-set=-all"]
        user.append(f"--groups={groups}" if groups else "--clear-groups")
        enter = ["nsenter", f"--target={self._process.pid}", "--mount", "--pid", "--uts", "--root", "--wd"]
        process = await asyncio.create_subprocess_exec(
            *enter,
            *["setpriv", *user, "--pdeathsig=KILL", "--", *action["command"]],
            env=dict(plan.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            return await process.wait() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def until_started(prober: Prober, probe: Probe) -> bool:
    """Probes until the container has started.

    Returns:
        False when `failureThreshold` periods have passed without success: the container must be killed.
    """
    await asyncio.sleep(probe.initial_delay_seconds)
    deadline = time.monotonic() + probe.failure_threshold * probe.period_seconds
    while not await prober.succeeds(probe):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(min(_IMPATIENT_SECONDS, probe.period_seconds))
    return True


async def until_dead(prober: Prober, probe: Probe) -> None:
    """Probes until `failureThreshold` failures follow each other: the container must be killed."""
    await asyncio.sleep(probe.initial_delay_seconds)
    failures = 0
    while failures < probe.failure_threshold:
        failures = 0 if await prober.succeeds(probe) else failures + 1
        await asyncio.sleep(probe.period_seconds)


async def follow_readiness(prober: Prober, probe: Probe, report: Callable[[bool], None]) -> None:
    """Probes for ever and reports every change of readiness. The container counts as not ready before."""
    await asyncio.sleep(probe.initial_delay_seconds)
    ready, streak = False, 0
    while True:
        # `streak` counts answers in a row that speak against the present state.
        streak = streak + 1 if await prober.succeeds(probe) != ready else 0
        if streak >= (probe.failure_threshold if ready else probe.success_threshold):
            ready, streak = not ready, 0
            report(ready)
        await asyncio.sleep(probe.period_seconds if ready else min(_IMPATIENT_SECONDS, probe.period_seconds))

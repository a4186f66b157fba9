"""What LiveKit, the workers and the agent say when they are asked, as the operator asks them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from replay_operator.address_keys import KEY_FILES, AddressKeys
from replay_operator.api.volume_facts import AgentFacts
from replay_operator.cli.doctor.sight import PROBE_SECONDS
from replay_operator.controller.agent_client import AgentClient
from replay_operator.domain.checks.clocks import ClockBounds, ClockSample, clock_bounds
from replay_operator.domain.checks.facts import BucketFacts, LiveKitFacts, PreviewFacts, WorkerAnswer
from replay_operator.domain.checks.objects import PodFacts
from replay_operator.domain.signed_address import Scope, signed_query
from replay_operator.domain.upload_target import UploadTarget
from replay_operator.livekit.adapter import LiveKitAdapter
from replay_operator.livekit.errors import LiveKitError
from replay_operator.livekit.port import LiveKit
from replay_operator.livekit.workers import AVAILABLE_CORES, health_url, read_health
from replay_operator.settings import LiveKitSettings, OperatorSettings

AGENT_QUESTIONS = 3
"""The quickest answer tells most of its clock; the first one waits for everything that begins at once."""

NO_ROOM = "replay-operator-doctor"
"""A room that nobody has: asking who is in it needs the same right as asking it of a real one."""

NO_BUFFER = "replay-operator-doctor"
"""No uid of a buffer: who gets in with its address is told that there is none."""

ADDRESS_SECONDS = 60


def now() -> datetime:
    """Give the time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NetworkProbes:
    """Asks the processes of an install directly; that works where their addresses can be reached."""

    session: aiohttp.ClientSession
    livekit: LiveKitSettings
    settings: OperatorSettings

    async def ask_livekit(self) -> LiveKitFacts:
        """Ask LiveKit for what needs a right to rooms, and a right to egress."""
        adapter = LiveKitAdapter(
            aiohttp.ClientSession(),
            url=self.livekit.url,
            api_key=self.livekit.api_key,
            api_secret=self.livekit.api_secret.get_secret_value(),
            answer_timeout_seconds=PROBE_SECONDS - 1,
        )
        try:
            rooms, egress = await asyncio.gather(_rooms_error(adapter), _active(adapter))
        finally:
            await adapter.aclose()
        error, active = egress
        return LiveKitFacts(self.livekit.url, rooms, error, active)

    async def livekit_date(self) -> str:
        """Give the `Date` of LiveKit's answers."""
        parts = urlsplit(self.livekit.url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        return await self._date(urlunsplit((scheme, parts.netloc, parts.path or "/", "", "")))

    async def ask_agent(self) -> tuple[AgentFacts, ClockBounds]:
        """Ask the agent how it is, and what its clock says."""
        token_file = self.settings.agent_token_directory / "token"
        client = AgentClient(self.settings.agent_url, token_file, self.session)
        samples = []
        for _ in range(AGENT_QUESTIONS):
            sent_at = now()
            facts = await client.facts()
            samples.append(ClockSample(sent_at, now(), facts.clock))
        return facts, clock_bounds("the agent", samples, resolution_seconds=0.0)

    async def ask_preview(self, agents: Iterable[tuple[PodFacts, int | None]]) -> PreviewFacts | None:
        """Ask the agent to show a buffer that nobody has; None when nobody is shown anything.

        Args:
            agents: Its pods, each with its port for people.
        """
        if self.settings.preview_api_port is None:
            return None
        signing = AddressKeys(self.settings.agent_token_directory, KEY_FILES[:1])
        keys = await asyncio.to_thread(signing.current)
        pod, port = next(((pod, port) for pod, port in agents if pod.ready and pod.ip), (None, None))
        status = None
        if keys and pod is not None and port is not None:
            expires_at = now() + timedelta(seconds=ADDRESS_SECONDS)
            query = signed_query(keys[0], Scope("buffer", NO_BUFFER), expires_at)
            path = f"/v1/preview/{NO_BUFFER}/playlist.m3u8"
            url = URL.build(scheme="http", host=pod.ip, port=port, path=path, query_string=query)
            status = await self._status(url)
        return PreviewFacts(self.settings.preview_url is not None, bool(keys), port, status)

    async def ask_bucket(self, target: UploadTarget | None) -> BucketFacts | None:
        """Ask for the bucket as somebody without credentials; None when the install has none.

        Args:
            target: The bucket.
        """
        if target is None:
            return None
        url = URL(f"{target.endpoint}/{target.bucket}")
        return BucketFacts(target.endpoint, target.bucket, await self._status(url, is_believed=False))

    async def ask_workers(self, workers: Iterable[PodFacts]) -> dict[str, WorkerAnswer | None]:
        """Ask ready workers what they hold; None of one that gives no answer, or one that makes no sense."""
        ready = [pod for pod in workers if pod.ready and pod.ip and not pod.terminating]
        answers = await asyncio.gather(*(self._ask_worker(pod) for pod in ready))
        return {pod.name: answer for pod, answer in zip(ready, answers, strict=True)}

    async def worker_date(self, pod: PodFacts) -> str:
        """Give the `Date` of a worker's health port: media times are taken from that node's clock."""
        return await self._date(self._health_url(pod))

    async def _ask_worker(self, pod: PodFacts) -> WorkerAnswer | None:
        try:
            async with asyncio.timeout(PROBE_SECONDS - 1):
                return worker_answer(await read_health(self.session, self._health_url(pod)))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    def _health_url(self, pod: PodFacts) -> str:
        return health_url(pod.ip, self.settings.fleet_health_port)

    async def _status(self, url: URL, *, is_believed: bool = True) -> int | None:
        """Give the status of an answer; None: there was none.

        Args:
            url: Of whom.
            is_believed: Whether its certificate has to be one that this pod trusts; nothing secret is sent.
        """
        try:
            async with (
                asyncio.timeout(PROBE_SECONDS - 1),
                self.session.get(url, allow_redirects=False, ssl=is_believed) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _date(self, url: str) -> str:
        async with self.session.get(url, allow_redirects=False) as response:
            return response.headers.get("Date", "")


def worker_answer(body: bytes) -> WorkerAnswer | None:
    """Read what a worker said; None when it is not the answer of an egress worker.

    Args:
        body: Such as `{"CpuLoad": 1.658, "EG_xxxx": {"TrackComposite": {...}}}`.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    cores = answer.get(AVAILABLE_CORES) if isinstance(answer, dict) else None
    if not isinstance(cores, int | float):
        return None
    kinds = {
        key: next(iter(value), "nothing known") for key, value in answer.items() if isinstance(value, dict)
    }
    return WorkerAnswer(kinds, float(cores))


async def _rooms_error(livekit: LiveKit) -> str:
    try:
        await livekit.participants(NO_ROOM)
    except LiveKitError as error:
        return str(error)
    return ""


async def _active(livekit: LiveKit) -> tuple[str, int]:
    try:
        return "", len(await livekit.list_active())
    except LiveKitError as error:
        return str(error), 0

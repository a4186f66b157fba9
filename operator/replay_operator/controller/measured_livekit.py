"""LiveKit with every call counted and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from replay_operator.domain.egress import Egress, Participant, StartRequest
from replay_operator.livekit.errors import LiveKitError
from replay_operator.livekit.port import LiveKit
from replay_operator.metrics import OperatorMetrics


class MeasuredLiveKit(LiveKit):
    """Passes everything on."""

    def __init__(self, livekit: LiveKit, metrics: OperatorMetrics) -> None:
        """Take the way to LiveKit.

        Args:
            livekit: It.
            metrics: Where calls are counted.
        """
        self._livekit = livekit
        self._metrics = metrics

    async def list_active(self) -> tuple[Egress, ...]:
        """See `LiveKit`."""
        with self._call("list"):
            return await self._livekit.list_active()

    async def get_egress(self, egress_id: str) -> Egress | None:
        """See `LiveKit`."""
        with self._call("get"):
            return await self._livekit.get_egress(egress_id)

    async def list_room(self, room: str) -> tuple[Egress, ...]:
        """See `LiveKit`."""
        with self._call("list_room"):
            return await self._livekit.list_room(room)

    async def start(self, request: StartRequest) -> Egress:
        """See `LiveKit`."""
        with self._call("start"):
            return await self._livekit.start(request)

    async def stop(self, egress_id: str) -> None:
        """See `LiveKit`."""
        with self._call("stop"):
            await self._livekit.stop(egress_id)

    async def participants(self, room: str) -> tuple[Participant, ...] | None:
        """See `LiveKit`."""
        with self._call("participants"):
            return await self._livekit.participants(room)

    async def aclose(self) -> None:
        """See `LiveKit`."""
        await self._livekit.aclose()

    @contextmanager
    def _call(self, call: str) -> Iterator[None]:
        begun = time.monotonic()
        result = "aborted"  # the process ends, or a caller has stopped waiting
        try:
            yield
            result = "ok"
        except LiveKitError as error:
            result = error.reason
            raise
        finally:
            self._metrics.livekit_calls.labels(call=call, result=result).inc()
            self._metrics.livekit_call_seconds.labels(call=call).observe(time.monotonic() - begun)

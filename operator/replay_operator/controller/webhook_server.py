"""Where LiveKit's webhooks arrive. Each is verified and wakes what it concerns; nothing else happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from replay_operator.livekit.webhooks import Hint, WebhookRefused, WebhookUnreadable, WebhookVerifier

WEBHOOK_PATH = "/livekit/webhook"

MAX_BODY_BYTES = 256 * 1024
"""The largest that was recorded has 1.4 kB; applications may add metadata to rooms and participants."""

READ_SECONDS = 5.0
"""How long a body may take to arrive, so that slow senders do not pile up."""

SHUTDOWN_SECONDS = 0.2
"""How long a stop waits for senders: the Lease is given up after it, and LiveKit sends again."""

GAP_SECONDS = 0.5
"""Least time between two wake-ups of the same room or egress."""

log = logging.getLogger(__name__)

_Target = tuple[frozenset[str], frozenset[str]]


class _Timer(Protocol):
    def cancel(self) -> None: ...


class WakeUps:
    """Passes the first hint at a room or egress on at once, and those that follow soon after as one.

    Args:
        on_hint: Gets the hints; it must not block.
        gap_seconds: Least time between two hints at the same target, in seconds.
        later: Calls a function after so many seconds; the event loop's `call_later`.
    """

    def __init__(
        self,
        on_hint: Callable[[Hint], None],
        *,
        gap_seconds: float = GAP_SECONDS,
        later: Callable[[float, Callable[[], None]], _Timer] | None = None,
    ) -> None:
        self._on_hint = on_hint
        self._gap_seconds = gap_seconds
        self._later = later
        self._held: dict[_Target, Hint] = {}
        self._timers: dict[_Target, _Timer] = {}

    def add(self, hint: Hint) -> None:
        """Pass a hint on, now or when the gap is over; an empty one wakes nobody."""
        target = (hint.rooms, hint.egress_ids)
        if hint.is_empty:
            return
        if target in self._timers:
            held = self._held.get(target)
            suspected = hint.worker_suspected_dead or (held is not None and held.worker_suspected_dead)
            self._held[target] = replace(hint, worker_suspected_dead=suspected)
            return
        self._open_gap(target)
        self._on_hint(hint)

    def close(self) -> None:
        """Drop what is held."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._held.clear()

    def _open_gap(self, target: _Target) -> None:
        later = self._later or asyncio.get_running_loop().call_later
        self._timers[target] = later(self._gap_seconds, lambda: self._gap_over(target))

    def _gap_over(self, target: _Target) -> None:
        del self._timers[target]
        held = self._held.pop(target, None)
        if held is not None:
            self.add(held)


def add_webhook_route(
    app: web.Application,
    verifier: WebhookVerifier,
    on_hint: Callable[[Hint], None],
    *,
    read_seconds: float = READ_SECONDS,
) -> None:
    """Add `POST /livekit/webhook`.

    Args:
        app: Gets the route.
        verifier: Knows LiveKit's key.
        on_hint: Wakes what a webhook concerns; it must not block.
        read_seconds: How long a body may take to arrive, in seconds.
    """
    wake_ups = WakeUps(on_hint)
    refusing = False

    async def take(request: web.Request) -> web.Response:
        nonlocal refusing
        try:
            async with asyncio.timeout(read_seconds):
                body = await _bounded_body(request)
        except TimeoutError:
            return web.Response(status=408, text=f"the body took more than {read_seconds:g} s")
        except web.RequestPayloadError:
            return web.Response(status=400, text="the body cannot be decoded")
        if body is None:
            return web.Response(status=413, text=f"a webhook has at most {MAX_BODY_BYTES} bytes")
        try:
            hint = verifier.read(body, request.headers.get("Authorization", ""))
        except WebhookUnreadable as error:
            return web.Response(status=400, text=str(error))
        except WebhookRefused as error:
            if not refusing:  # once, not once for each: anybody can send what we refuse
                log.warning("%s: check that `webhook.api_key` of LiveKit names the operator's key", error)
            refusing = True
            return web.Response(status=401, text="the signature is not valid")
        refusing = False
        wake_ups.add(hint)
        return web.Response()

    async def close(_: web.Application) -> None:
        wake_ups.close()

    app.router.add_post(WEBHOOK_PATH, take)
    app.on_cleanup.append(close)


async def serve_webhooks(
    *, bind_address: str, port: int, verifier: WebhookVerifier, on_hint: Callable[[Hint], None]
) -> web.AppRunner:
    """Start a server for webhooks alone; the caller ends it with `cleanup()`.

    Args:
        bind_address: Address to listen on, the pod's own.
        port: TCP port.
        verifier: Knows LiveKit's key.
        on_hint: Wakes what a webhook concerns; it must not block.
    """
    app = web.Application()
    add_webhook_route(app, verifier, on_hint)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, bind_address, port).start()
    return runner


async def _bounded_body(request: web.Request) -> bytes | None:
    """Give the body, or None when it is too large."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)

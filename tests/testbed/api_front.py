"""An HTTP server before the API server that refuses, hangs, delays or cuts off when a test tells it to."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web
from yarl import URL

from tests.testbed.api_faults import ApiCall, ApiFault, Reaction, refusal
from tests.testbed.components import LOOPBACK
from tests.testbed.controlplane import ControlPlane

_PASSED_ON = ("Accept", "Authorization", "Content-Type", "User-Agent")
_LARGEST_BODY_BYTES = 4 << 20


@dataclass
class ApiFront:
    """Passes requests on, unless there is a fault.

    Attributes:
        api: Leads to the API server.
        port: On the loopback address.
        faults: What goes wrong now; the first that hits a request decides.
        met: How many requests each fault has hit.
    """

    api: aiohttp.ClientSession
    port: int = 0
    faults: tuple[ApiFault, ...] = ()
    met: Counter[ApiFault] = field(default_factory=Counter)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _chance: random.Random = field(default_factory=lambda: random.Random(1))
    _watches: set[asyncio.Transport] = field(default_factory=set)

    @property
    def open_watches(self) -> int:
        """How many watches are open now."""
        return sum(not transport.is_closing() for transport in self._watches)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig without credentials that leads here, and give its path."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "front", "cluster": {"server": f"http://{LOOPBACK}:{self.port}"}}],
            "users": [{"name": "front", "user": {}}],
            "contexts": [{"name": "front", "context": {"cluster": "front", "user": "front"}}],
            "current-context": "front",
        }
        path.write_text(json.dumps(config))
        return path

    def cut_watches(self) -> None:
        """Break every watch that is open, in the middle of whatever it says."""
        for transport in list(self._watches):
            transport.abort()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        call = ApiCall(request.method, request.path_qs, await request.read())
        fault = next((each for each in self.faults if each.hits(call, self._chance.random())), None)
        if fault is None:
            return await self._pass_on(request, call)
        self.met[fault] += 1
        match fault.reaction:
            case Reaction.REFUSE:
                return refusal(fault.status_for(call, self._chance))
            case Reaction.HANG:
                await self.ended.wait()
            case Reaction.DELAY:
                await asyncio.sleep(fault.seconds)
                return await self._pass_on(request, call)
            case Reaction.LOSE_ANSWER:
                await self._pass_on(request, call)
                return refusal(504)
            case Reaction.EXPIRE:
                return _expired_watch()
        return refusal(500)

    async def _pass_on(self, request: web.Request, call: ApiCall) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = URL(request.raw_path, encoded=True)
        try:
            async with self.api.request(request.method, url, data=call.body or None, headers=headers) as real:
                if call.is_watch and real.ok:
                    return await self._stream(request, real)
                return web.Response(
                    status=real.status, body=await real.read(), content_type=real.content_type
                )
        except aiohttp.ClientError:
            if request.transport is not None:  # the API server is away: so is this one
                request.transport.close()
            return refusal(503)

    async def _stream(self, request: web.Request, real: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": real.content_type})
        await answer.prepare(request)
        transport = request.transport
        if transport is None:
            return answer
        self._watches.add(transport)
        try:
            async for chunk in real.content.iter_any():
                await answer.write(chunk)
        finally:
            self._watches.discard(transport)
        return answer


def _expired_watch() -> web.Response:
    """What the watch cache says about a version that it no longer has: HTTP 200, and one event."""
    status = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410}
    event = {"type": "ERROR", "object": {**status, "message": "too old resource version"}}
    return web.json_response(event, dumps=lambda it: json.dumps(it) + "\n")


@asynccontextmanager
async def serving(plane: ControlPlane, *, as_administrator: bool) -> AsyncIterator[ApiFront]:
    """Serve on a free loopback port until the block ends.

    Args:
        plane: Whose API server is behind it.
        as_administrator: Plain HTTP, and whoever comes is administrator. Else as pods know it: TLS with a
            certificate that they trust, and everybody has the rights of his own token.
    """
    upstream = ssl.create_default_context(cafile=str(plane.pki.ca.certificate))
    tls = None
    if as_administrator:
        admin = plane.pki.pair("admin")
        upstream.load_cert_chain(admin.certificate, admin.key)
    else:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(plane.pki.pair("apiserver").certificate, plane.pki.pair("apiserver").key)
    connector = aiohttp.TCPConnector(ssl=upstream, limit=0)
    patience = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(plane.url, connector=connector, timeout=patience) as api:
        front = ApiFront(api)
        application = web.Application(client_max_size=_LARGEST_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", front.answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls).start()
            front.port = runner.addresses[0][1]
            yield front
        finally:
            front.ended.set()
            await runner.cleanup()


class ApiFrontInThread:
    """A front for tests without an event loop of their own."""

    def __init__(self, front: ApiFront, loop: asyncio.AbstractEventLoop) -> None:
        self._front = front
        self._loop = loop
        self.port = front.port

    def break_with(self, *faults: ApiFault) -> None:
        """Let these faults, and no others, happen from now on."""
        self._front.faults = faults

    def heal(self) -> None:
        """End every fault."""
        self._front.faults = ()

    def cut_watches(self) -> None:
        """Break every watch that is open."""
        self._loop.call_soon_threadsafe(self._front.cut_watches)

    def met(self, fault: ApiFault) -> int:
        """Tell how many requests a fault has hit."""
        return self._front.met[fault]


@contextmanager
def serving_in_a_thread(plane: ControlPlane) -> Iterator[ApiFrontInThread]:
    """Serve as pods know an API server, in a thread, until the block ends.

    Args:
        plane: Whose API server is behind it.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="front of the API server", daemon=True)
    thread.start()
    serving_it = serving(plane, as_administrator=False)
    try:
        front = asyncio.run_coroutine_threadsafe(serving_it.__aenter__(), loop).result()
        try:
            yield ApiFrontInThread(front, loop)
        finally:
            asyncio.run_coroutine_threadsafe(serving_it.__aexit__(None, None, None), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_end_the_rest(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_the_rest() -> None:
    """End requests of clients that were killed in the middle of them: the server leaves them behind."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)

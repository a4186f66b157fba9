"""A receiver of webhooks, and the webhooks that were recorded."""

import json
from typing import Any

from aiohttp import web

from tests.livekit_double.tests.recordings import RECORDINGS


class Receiver:
    """Takes webhooks on a free port.

    Attributes:
        received: headers and body of each.
        url: where to send them.
    """

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], str]] = []
        self.url = ""

    async def start(self) -> web.AppRunner:
        """Listens; the caller cleans the runner up."""
        application = web.Application()
        application.router.add_post("/", self._take)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        return runner

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """The bodies, of all events or of those with a name."""
        bodies = [json.loads(body) for _, body in self.received]
        return [body for body in bodies if name in ("", body["event"])]

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.text()))
        return web.Response()


def recorded_event(
    event: str, status: str | None = None, *, recording: str = "api/webhooks.jsonl"
) -> dict[str, Any]:
    """The first recorded webhook of a kind.

    Args:
        event: such as `egress_updated`.
        status: of its egress; None for an event without one.
        recording: where to look.
    """
    for body in _recorded_bodies(recording):
        if body["event"] == event and body.get("egressInfo", {}).get("status") == status:
            return body
    raise AssertionError(f"no recording of {event} {status} in {recording}")


def recorded_departure() -> dict[str, Any]:
    """The recorded webhook of an egress participant whose worker had been killed."""
    return _recorded_bodies("webhooks/worker-killed.jsonl")[0]


def _recorded_bodies(path: str) -> list[dict[str, Any]]:
    lines = (RECORDINGS / path).read_text().splitlines()
    return [json.loads(json.loads(line)["raw_body"]) for line in lines]

"""The admin API under `/double/`: the same levers as the Python object, for another process."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from livekit.protocol import webhook

from tests.livekit_double.server.faults import Fault, FaultKind
from tests.livekit_double.server.twirp import TwirpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.livekit_double.server.double import LiveKitDouble


def add_admin_routes(application: web.Application, double: LiveKitDouble) -> None:
    """Registers every admin route on the application."""
    admin = _Admin(double)
    room = "/double/rooms/{room}"
    participant = f"{room}/participants/{{identity}}"
    add = application.router.add_route
    add("GET", "/double/rooms", _plain(admin.list_rooms))
    add("POST", "/double/rooms", _plain(admin.create_room))
    add("DELETE", room, _plain(admin.delete_room))
    add("POST", f"{room}/participants", _plain(admin.join))
    add("DELETE", participant, _plain(admin.leave))
    add("POST", f"{participant}/tracks", _plain(admin.publish))
    add("DELETE", f"{room}/tracks/{{sid}}", _plain(admin.unpublish))
    add("POST", f"{room}/tracks/{{sid}}/mute", _plain(admin.mute))
    add("GET", "/double/workers", _plain(admin.workers))
    add("GET", "/double/egress", _plain(admin.list_egress))
    add("POST", "/double/egress/{egress_id}/kill", _plain(admin.kill_handler))
    add("POST", "/double/egress/{egress_id}/end", _plain(admin.end_egress))
    add("POST", "/double/egress/{egress_id}/fail", _plain(admin.fail_egress))
    add("POST", "/double/egress/{egress_id}/starve", _plain(admin.starve_egress))
    add("POST", "/double/egress/{egress_id}/clock", _plain(admin.disturb_clock))
    add("POST", "/double/workers/{worker_id}/capacity", _plain(admin.set_capacity))
    add("POST", "/double/restart", _plain(admin.restart))
    add("GET", "/double/calls", _plain(admin.calls))
    add("GET", "/double/webhooks", _plain(admin.list_webhooks))
    add("POST", "/double/webhooks", _plain(admin.send_webhook))
    add("POST", "/double/faults", _plain(admin.add_fault))
    add("DELETE", "/double/faults", _plain(admin.clear_faults))


def _plain(
    handler: Callable[[web.Request], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Makes a route of a function that returns something JSON can say."""

    async def serve(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except TwirpError as error:
            return error.response()
        except (KeyError, ValueError, TypeError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return serve


def _dict(message: Message) -> dict[str, Any]:
    return dict(
        json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )


class _Admin:
    def __init__(self, double: LiveKitDouble) -> None:
        self._double = double

    async def list_rooms(self, _request: web.Request) -> dict[str, Any]:
        rooms = self._double.rooms
        return {name: [_dict(each) for each in rooms.participants(name)] for name in rooms.names()}

    async def create_room(self, request: web.Request) -> dict[str, Any]:
        return _dict(self._double.rooms.create((await request.json())["name"]))

    async def delete_room(self, request: web.Request) -> dict[str, Any]:
        self._double.rooms.delete(request.match_info["room"])
        return {}

    async def join(self, request: web.Request) -> dict[str, Any]:
        body = await request.json()
        participant = self._double.rooms.join(
            request.match_info["room"],
            body["identity"],
            body.get("tracks", ()),
            kind=body.get("kind", "STANDARD"),
        )
        return _dict(participant)

    async def leave(self, request: web.Request) -> dict[str, Any]:
        room, identity = request.match_info["room"], request.match_info["identity"]
        if "abrupt" in request.query:
            self._double.lose_publisher(room, identity)
        else:
            self._double.rooms.leave(room, identity)
        return {}

    async def publish(self, request: web.Request) -> dict[str, Any]:
        body = await request.json()
        sid = self._double.rooms.publish(request.match_info["room"], request.match_info["identity"], **body)
        return {"sid": sid}

    async def unpublish(self, request: web.Request) -> dict[str, Any]:
        self._double.rooms.unpublish(request.match_info["room"], request.match_info["sid"])
        return {}

    async def mute(self, request: web.Request) -> dict[str, Any]:
        muted = bool((await request.json())["muted"])
        self._double.rooms.mute(request.match_info["room"], request.match_info["sid"], muted=muted)
        return {}

    async def workers(self, _request: web.Request) -> list[dict[str, Any]]:
        records = self._double.records
        return [
            {
                "worker_id": link.worker_id,
                "pod": link.pod,
                "capacity": link.capacity,
                "draining": link.draining,
                "egresses": [info.egress_id for info in records.running_on(link.worker_id)],
            }
            for link in self._double.fleet.links.values()
        ]

    async def list_egress(self, _request: web.Request) -> list[dict[str, Any]]:
        return [_dict(info) for info in self._double.records.select()]

    async def kill_handler(self, request: web.Request) -> dict[str, Any]:
        await self._double.kill_handler(request.match_info["egress_id"])
        return {}

    async def end_egress(self, request: web.Request) -> dict[str, Any]:
        await self._double.end_egress(request.match_info["egress_id"], **await request.json())
        return {}

    async def fail_egress(self, request: web.Request) -> dict[str, Any]:
        await self._double.fail_egress(request.match_info["egress_id"], **await request.json())
        return {}

    async def starve_egress(self, request: web.Request) -> dict[str, Any]:
        await self._double.starve_egress(request.match_info["egress_id"], **await request.json())
        return {}

    async def disturb_clock(self, request: web.Request) -> dict[str, Any]:
        await self._double.disturb_clock(request.match_info["egress_id"], **await request.json())
        return {}

    async def set_capacity(self, request: web.Request) -> dict[str, Any]:
        link = self._double.fleet.links[request.match_info["worker_id"]]
        link.capacity = int((await request.json())["capacity"])
        return {}

    async def restart(self, request: web.Request) -> dict[str, Any]:
        self._double.restart(float((await request.json())["away_seconds"]))
        return {}

    async def calls(self, _request: web.Request) -> dict[str, Any]:
        log = self._double.calls
        return {"counts": log.counts(), "calls": [asdict(call) for call in log.calls]}

    async def list_webhooks(self, _request: web.Request) -> list[dict[str, Any]]:
        return [asdict(sent) for sent in self._double.webhooks.sent]

    async def send_webhook(self, request: web.Request) -> list[int]:
        body = await request.json()
        event = json_format.ParseDict(body.pop("event"), webhook.WebhookEvent())
        return await self._double.webhooks.send(event, **body)

    async def add_fault(self, request: web.Request) -> dict[str, Any]:
        body = await request.json()
        self._double.faults.add(Fault(**{**body, "kind": FaultKind(body["kind"])}))
        return {}

    async def clear_faults(self, _request: web.Request) -> dict[str, Any]:
        self._double.faults.clear()
        return {}

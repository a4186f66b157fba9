"""Lists that tell the same again and again."""

from __future__ import annotations

from aiohttp import web
from livekit.protocol import egress as proto_egress

from replay_operator.domain.egress import EgressState
from tests.livekit.test_adapter_errors import adapter_to


async def test_only_an_egress_that_has_changed_is_read_anew() -> None:
    infos = [proto_egress.EgressInfo(egress_id=f"EG_{n}", room_name="standup") for n in range(3)]

    async def listing(_: web.Request) -> web.Response:
        body = proto_egress.ListEgressResponse(items=infos).SerializeToString()
        return web.Response(body=body, content_type="application/protobuf")

    async with adapter_to(listing) as adapter:
        first = await adapter.list_active()
        infos[1].status = proto_egress.EgressStatus.EGRESS_ACTIVE
        second = await adapter.list_active()
        del infos[0]
        third = await adapter.list_active()
    assert [each.id for each in first] == ["EG_0", "EG_1", "EG_2"]
    assert [each.state for each in second] == [EgressState.STARTING, EgressState.ACTIVE, EgressState.STARTING]
    assert [new is old for new, old in zip(second, first, strict=True)] == [True, False, True]
    assert [each.id for each in third] == ["EG_1", "EG_2"]

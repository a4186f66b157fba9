"""The look at the whole: lists, claims, the sweep, and what must not happen on a partial view."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from replay_operator.cluster.gateway import ClusterUnreachable
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.controller.keys import Key, Kind
from tests.builders import BUFFER_UID, CAPTURE_UID, NAMESPACE, buffer_body, capture_body
from tests.contract.rig import Rig
from tests.fleet_pods import pod_body

BUFFER_KEY = Key(Kind.BUFFER, BUFFER_UID)


async def test_both_claims_are_made_once(rig: Rig) -> None:
    for _ in range(3):
        await rig.look()
    made = [call.name for call in rig.cluster.writes_of("persistentvolumeclaims")]
    assert made == ["replay-buffers", "replay-archive"]


async def test_the_first_lists_bring_every_object_and_queue_it(rig: Rig) -> None:
    rig.cluster.add(BUFFERS, buffer_body())
    rig.cluster.add(CAPTURES, capture_body())
    await rig.look()
    assert await rig.woken() == {BUFFER_KEY, Key(Kind.CAPTURE, CAPTURE_UID)}


async def test_lists_are_asked_for_again_after_ten_minutes_and_not_before(rig: Rig) -> None:
    await rig.look()
    lists = [call for call in rig.cluster.calls if call.verb == "list"]
    rig.clock.go_on(599)
    await rig.look()
    assert [call for call in rig.cluster.calls if call.verb == "list"] == lists
    rig.clock.go_on(1)
    await rig.look()
    assert len([call for call in rig.cluster.calls if call.verb == "list"]) == 2 * len(lists)


async def test_a_deletion_that_no_watch_has_told_is_found_by_the_next_list(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    await rig.woken()
    rig.cluster.remove(BUFFERS, NAMESPACE, "alice-screen")
    rig.clock.go_on(600)
    await rig.look()
    assert BUFFER_KEY in await rig.woken()
    await rig.reconcile_buffer()
    assert rig.livekit.egresses == {}


def lists_asked_for(rig: Rig) -> int:
    return len([call for call in rig.cluster.calls if call.verb == "list"])


async def test_a_deletion_that_a_broken_watch_has_missed_is_found_when_it_begins_anew(rig: Rig) -> None:
    rig.user_creates_buffer()
    rig.operator.inbox.fleet_pod(None, pod_body())
    await rig.bring_up()
    rig.cluster.remove(BUFFERS, NAMESPACE, "alice-screen")
    rig.operator.inbox.fleet_pod(None, pod_body())
    for _ in range(2):  # the buffer is younger than the list before: one list cannot show that it is gone
        rig.clock.go_on(10)
        await rig.look()
    await rig.reconcile_buffer()
    assert rig.livekit.egresses == {}


async def test_what_a_watch_tells_for_the_first_time_is_no_reason_to_list_again(rig: Rig) -> None:
    await rig.look()
    lists = lists_asked_for(rig)
    for type_ in (None, "MODIFIED", "DELETED", None):
        rig.operator.inbox.fleet_pod(type_, pod_body())
    rig.clock.go_on(300)
    await rig.look()
    assert lists_asked_for(rig) == lists


async def test_watches_that_break_all_the_time_do_not_make_the_operator_list_all_the_time(rig: Rig) -> None:
    await rig.look()
    before = lists_asked_for(rig)
    for _ in range(12):
        rig.clock.go_on(5)
        rig.operator.inbox.fleet_pod(None, pod_body())
        await rig.look()
    assert lists_asked_for(rig) - before == 6 * 3, "three kinds, every ten seconds"


async def test_an_egress_that_a_crash_left_over_is_swept(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    rig.cluster.remove(BUFFERS, NAMESPACE, "alice-screen")
    new = rig.restarted()
    await new.look()
    assert BUFFER_KEY in await new.woken()
    await new.reconcile_buffer()
    assert new.livekit.egresses == {}


async def test_before_the_first_lists_nothing_is_stopped_and_no_policy_is_sent(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    policies = len(rig.agent.policies)
    new = rig.restarted()
    new.buffers.drop(BUFFER_UID)  # no watch has told of it yet
    new.cluster.away_for = {"list replaybuffers"}
    with pytest.raises(ClusterUnreachable):
        await new.look()
    await new.reconcile_buffer()
    await new.policy.publish()
    assert new.livekit.stops == []
    assert len(new.agent.policies) == policies


def while_lists_are_made(rig: Rig, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen after the buffers have been listed and before the captures are."""
    asked = rig.cluster.pages

    async def listed(
        type_: ResourceType, namespace: str, *, labels: str | None = None
    ) -> AsyncIterator[tuple[dict[str, Any], ...]]:
        if type_ == CAPTURES:
            happens()
        async for page in asked(type_, namespace, labels=labels):
            yield page

    monkeypatch.setattr(rig.cluster, "pages", listed)


async def test_a_buffer_that_appears_while_the_lists_are_made_is_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    while_lists_are_made(rig, monkeypatch, rig.user_creates_buffer)
    await rig.look()
    assert rig.buffers.get(BUFFER_UID) is not None


async def test_a_buffer_that_is_deleted_while_the_lists_are_made_does_not_come_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.user_creates_buffer()
    while_lists_are_made(rig, monkeypatch, rig.user_deletes_buffer)
    await rig.look()
    assert rig.buffers.get(BUFFER_UID) is None

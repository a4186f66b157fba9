"""Outcomes are told: once each if all goes well, never lost, never in the way of a reconcile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from replay_operator.api.replaycapture import NotificationState
from replay_operator.cluster.resources import CAPTURES, EVENTS
from replay_operator.controller.notify import NotDelivered, Notifier, WebhookSender
from replay_operator.domain.notification import News, signed_headers
from tests.builders import CAPTURE_UID, NAMESPACE, NOW
from tests.contract.rig import Outside, Rig
from tests.contract.scripted import HandClock
from tests.contract.test_capture_retirement import cutting, exists, ready
from tests.contract.test_uploads import SENT, URL, bucket, ends, uploading, uploads
from tests.testbed.ports import free_ports


@dataclass
class Receiver:
    """Takes news, or does not."""

    troubles: list[NotDelivered] = field(default_factory=list)
    taken: list[News] = field(default_factory=list)
    tries: int = 0

    async def send(self, news: News) -> None:
        self.tries += 1
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append(news)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def told(receiver: Receiver) -> Rig:
    """An install with somebody to tell."""
    return Rig(Outside(), send_news=receiver.send)


def notifier(rig: Rig) -> Notifier:
    assert rig.operator.notifier is not None
    return rig.operator.notifier


def noted(rig: Rig) -> NotificationState | None:
    news = rig.capture.status.notification
    return news.state if news else None


async def test_a_clip_is_told_once_and_the_status_says_so(told: Rig, receiver: Receiver) -> None:
    await ready(told)
    assert noted(told) is NotificationState.PENDING
    assert receiver.taken == [], "the reconcile does not wait for it"
    assert await notifier(told).deliver(CAPTURE_UID) is None
    assert [news.key for news in receiver.taken] == [f"{CAPTURE_UID}.ready"]
    assert noted(told) is NotificationState.DELIVERED
    for rig in (told, told.restarted()):
        await rig.look()
        await rig.reconcile_capture()
        await notifier(rig).deliver(CAPTURE_UID)
    assert receiver.tries == 1


async def test_telling_costs_one_status_write_and_an_install_that_tells_nobody_none(
    told: Rig, receiver: Receiver
) -> None:
    silent = await ready(Rig(Outside()))
    await ready(told)
    await notifier(told).deliver(CAPTURE_UID)
    assert told.capture_status_writes == silent.capture_status_writes + 1
    assert noted(silent) is None
    assert silent.operator.notifier is None
    assert receiver.taken


async def test_news_that_was_not_taken_is_tried_again_under_the_same_key(
    told: Rig, receiver: Receiver
) -> None:
    receiver.troubles = [NotDelivered("the receiver answered 503"), NotDelivered("no answer")]
    await ready(told)
    assert await notifier(told).deliver(CAPTURE_UID) == 1
    assert await notifier(told).deliver(CAPTURE_UID) == 2
    assert await notifier(told).deliver(CAPTURE_UID) is None
    assert receiver.tries == 3
    assert noted(told) is NotificationState.DELIVERED
    figure = told.metrics.registry.get_sample_value
    assert figure("replay_operator_notifications_total", {"result": "error"}) == 2
    assert figure("replay_operator_notifications_total", {"result": "ok"}) == 1


async def test_a_new_process_takes_up_what_the_old_one_had_not_told(told: Rig, receiver: Receiver) -> None:
    await ready(told)
    new = told.restarted()
    await new.look()
    await new.reconcile_capture()
    await notifier(new).deliver(CAPTURE_UID)
    assert len(receiver.taken) == 1
    assert noted(new) is NotificationState.DELIVERED


async def test_captures_from_before_anybody_wanted_to_know_are_not_told(receiver: Receiver) -> None:
    outside = Outside()
    await ready(Rig(outside))
    later = Rig(outside, send_news=receiver.send)
    await later.look()
    await later.reconcile_capture()
    await notifier(later).deliver(CAPTURE_UID)
    assert receiver.tries == 0


async def test_it_is_given_up_with_an_event(told: Rig, receiver: Receiver) -> None:
    receiver.troubles = [NotDelivered("the receiver answered 410", final=True)]
    await ready(told)
    assert await notifier(told).deliver(CAPTURE_UID) is None
    assert noted(told) is NotificationState.FAILED
    (event,) = [e for e in told.cluster.all_of(EVENTS) if e["reason"] == "NotificationFailed"]
    assert (event["type"], "410" in event["message"]) == ("Warning", True)


async def test_tries_end_an_hour_after_the_outcome_also_across_restarts(
    told: Rig, receiver: Receiver
) -> None:
    receiver.troubles = [NotDelivered("no answer") for _ in range(100)]
    await ready(told)
    rig, begun = told, told.clock.now
    while noted(told) is NotificationState.PENDING:
        delay = await notifier(rig).deliver(CAPTURE_UID)
        rig.clock.go_on(delay or 0)
        if receiver.tries == 5:
            rig = told.restarted()
            await rig.look()
            await rig.reconcile_capture()
    assert (told.clock.now - begun).total_seconds() <= 3600
    assert receiver.tries < 40
    assert noted(told) is NotificationState.FAILED


async def test_a_status_that_changed_meanwhile_is_no_reason_to_tell_again(
    told: Rig, receiver: Receiver
) -> None:
    await ready(told)
    told.cluster.add(CAPTURES, told.cluster.stored(CAPTURES, NAMESPACE, "goal"))  # and no watch has told
    assert await notifier(told).deliver(CAPTURE_UID) == 0.5
    told.watch_tells_capture()
    assert await notifier(told).deliver(CAPTURE_UID) is None
    assert receiver.tries == 1
    assert noted(told) is NotificationState.DELIVERED


async def test_a_capture_that_is_deleted_before_it_was_told_is_told_all_the_same(
    told: Rig, receiver: Receiver
) -> None:
    await ready(told)
    await told.user_deletes_capture()
    assert await notifier(told).deliver(CAPTURE_UID) is None
    assert len(receiver.taken) == 1


async def test_a_capture_does_not_expire_before_it_was_told(told: Rig, receiver: Receiver) -> None:
    await ready(told, ttlSecondsAfterFinished=0)
    assert exists(told)
    await notifier(told).deliver(CAPTURE_UID)
    await told.reconcile_capture()
    assert not exists(told)
    assert receiver.taken


async def test_a_failure_is_told_too(told: Rig, receiver: Receiver) -> None:
    await cutting(told)
    for number in range(3):
        told.job_ends(told.job_names[number], condition="Failed", message=None)
        await told.reconcile_capture()
    await notifier(told).deliver(CAPTURE_UID)
    assert [news.key for news in receiver.taken] == [f"{CAPTURE_UID}.failed"]


# --- uploads


@pytest.fixture
def told_of_uploads(receiver: Receiver) -> Rig:
    """An install with somebody to tell, and a bucket."""
    return Rig(Outside(), send_news=receiver.send, uploads=bucket())


async def upload_ends(rig: Rig) -> None:
    ends(rig, uploads(rig)[0], SENT)
    await rig.reconcile_capture()


async def test_where_a_clip_is_in_object_storage_is_told_when_it_is_there(
    told_of_uploads: Rig, receiver: Receiver
) -> None:
    rig = await uploading(told_of_uploads)
    await notifier(rig).deliver(CAPTURE_UID)
    before = rig.capture_status_writes
    rig.clock.go_on(7200)
    await upload_ends(rig)
    assert noted(rig) is NotificationState.PENDING
    new = rig.restarted()
    await new.look()
    await new.reconcile_capture()
    assert await notifier(new).deliver(CAPTURE_UID) is None
    assert noted(new) is NotificationState.DELIVERED
    assert new.capture_status_writes == before + 2
    news = receiver.taken[-1]
    message = json.loads(news.body)
    assert news.key == f"{CAPTURE_UID}.uploaded"
    assert (message["type"], message["data"]["clip"]["url"]) == ("replaycapture.uploaded", URL)
    await new.reconcile_capture()
    await notifier(new).deliver(CAPTURE_UID)
    assert receiver.tries == 2


async def test_an_upload_that_ends_before_the_outcome_was_told_is_told_after_it(
    told_of_uploads: Rig, receiver: Receiver
) -> None:
    receiver.troubles = [NotDelivered("no answer")]
    rig = await uploading(told_of_uploads)
    assert await notifier(rig).deliver(CAPTURE_UID) == 1
    await upload_ends(rig)
    assert await notifier(rig).deliver(CAPTURE_UID) == 0
    assert await notifier(rig).deliver(CAPTURE_UID) is None
    assert [news.key for news in receiver.taken] == [f"{CAPTURE_UID}.ready", f"{CAPTURE_UID}.uploaded"]
    assert noted(rig) is NotificationState.DELIVERED


async def test_an_upload_after_an_outcome_that_nobody_took_is_told(
    told_of_uploads: Rig, receiver: Receiver
) -> None:
    receiver.troubles = [NotDelivered("the receiver answered 410", final=True)]
    rig = await uploading(told_of_uploads)
    await notifier(rig).deliver(CAPTURE_UID)
    assert noted(rig) is NotificationState.FAILED
    await upload_ends(rig)
    await notifier(rig).deliver(CAPTURE_UID)
    assert [news.key for news in receiver.taken] == [f"{CAPTURE_UID}.uploaded"]


# --- over HTTP


@dataclass
class Site:
    """A real server that remembers what it got, and answers as the test says."""

    url: str
    got: list[tuple[dict[str, str], bytes]]
    answers: list[int]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    got: list[tuple[dict[str, str], bytes]] = []
    answers: list[int] = []

    async def take(request: web.Request) -> web.Response:
        got.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        status = answers.pop(0) if answers else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    async with TestServer(app, host="127.0.0.1") as server:
        yield Site(str(server.make_url("/events?token=s3cr3t")), got, answers)


NEWS = News(key="uid.ready", body=b'{"type":"replaycapture.ready"}')


async def test_what_is_posted_is_the_body_with_a_signature_over_it(site: Site) -> None:
    async with aiohttp.ClientSession() as session:
        await WebhookSender(site.url, "secret", session, HandClock()).send(NEWS)
    ((headers, body),) = site.got
    assert body == NEWS.body
    wanted = signed_headers(NEWS, secret="secret", now=NOW)
    assert {name: headers[name] for name in wanted} == wanted


@pytest.mark.parametrize(("status", "final"), [(500, False), (404, False), (302, False), (410, True)])
async def test_anything_but_2xx_was_not_delivered_and_gone_is_for_good(
    site: Site, status: int, final: bool
) -> None:
    site.answers.append(status)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(NotDelivered, match=str(status)) as trouble:
            await WebhookSender(site.url, "secret", session, HandClock()).send(NEWS)
    assert trouble.value.final is final
    assert len(site.got) == 1, "a redirect is not followed"


async def test_a_receiver_that_is_not_there_is_named_by_no_part_of_its_address() -> None:
    (port,) = free_ports(1)
    async with aiohttp.ClientSession() as session:
        sender = WebhookSender(f"http://127.0.0.1:{port}/?token=s3cr3t", "s", session, HandClock())
        with pytest.raises(NotDelivered) as trouble:
            await sender.send(NEWS)
    assert "s3cr3t" not in str(trouble.value)
    assert "127.0.0.1" not in str(trouble.value)

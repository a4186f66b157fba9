"""Tells the install's webhook how captures and uploads ended, beside reconciles and never in their way."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import aiohttp

from replay_operator.api.replaycapture import NotificationState, ReplayCapture
from replay_operator.cluster.events import Event, EventType
from replay_operator.cluster.gateway import Conflict
from replay_operator.cluster.resources import CAPTURES
from replay_operator.controller.queue import KeyedQueue
from replay_operator.controller.store import ObjectStore
from replay_operator.controller.writer import StatusWriter
from replay_operator.domain.capture_end import has_untold_news
from replay_operator.domain.notification import News, news_of, next_try, signed_headers
from replay_operator.domain.uploads import with_upload_news
from replay_operator.metrics import OperatorMetrics

REQUEST_TIMEOUT = timedelta(seconds=10)
CONFLICT_SECONDS = 0.5
AT_ONCE = 4

log = logging.getLogger(__name__)


class NotDelivered(Exception):
    """The receiver has not taken the news. `final`: it never will."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class WebhookSender:
    """Posts to one URL. The URL may hold a password: it is never logged."""

    def __init__(
        self, url: str, secret: str, session: aiohttp.ClientSession, clock: Callable[[], datetime]
    ) -> None:
        self._url = url
        self._secret = secret
        self._session = session
        self._clock = clock

    async def send(self, news: News) -> None:
        """Send once.

        Raises:
            NotDelivered: The answer was none of 2xx, or none came. 410 (Gone) is final. A redirect is not
                followed: the news is for the address in the settings.
        """
        try:
            async with self._session.post(
                self._url,
                data=news.body,
                headers=signed_headers(news, secret=self._secret, now=self._clock()),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT.total_seconds()),
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotDelivered(f"the receiver did not answer ({type(error).__name__})") from error
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise NotDelivered(f"the receiver answered {status}", final=status == HTTPStatus.GONE)


@dataclass
class _Errand:
    capture: ReplayCapture
    failures: int = 0
    outcome: NotificationState | None = None
    trouble: str = ""


class Notifier:
    """Sends each piece of news until it is taken, for an hour at most, and notes in the status that it was.

    Its memory is the status: `notification.state` is Pending from the write of the outcome on. So a restart
    loses nothing, and a crash between the receiver's answer and that note sends the same key again.
    """

    def __init__(
        self,
        send: Callable[[News], Awaitable[None]],
        *,
        captures: ObjectStore[ReplayCapture],
        writer: StatusWriter,
        metrics: OperatorMetrics,
        may_act: Callable[[], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self._send = send
        self._captures = captures
        self._writer = writer
        self._metrics = metrics
        self._may_act = may_act
        self._clock = clock
        self._queue: KeyedQueue[str] = KeyedQueue()
        self._errands: dict[str, _Errand] = {}

    def tell(self, capture: ReplayCapture) -> None:
        """Take in a finished capture whose news is Pending; one that is known already changes nothing."""
        uid = capture.metadata.uid
        if uid not in self._errands:
            self._errands[uid] = _Errand(capture)
            self._queue.add(uid)

    async def run(self) -> None:
        """Tell for ever."""
        await self._queue.run(self.deliver, workers=AT_ONCE)

    async def deliver(self, uid: str) -> float | None:
        """Try once for one capture.

        Args:
            uid: The capture's uid.

        Returns:
            Seconds until the next try, or None when it is over.
        """
        errand = self._errands.get(uid)
        if errand is None or not self._may_act():
            return None
        if errand.outcome is None:
            again = await self._try(errand)
            if again is not None:
                return max(0.0, (again - self._clock()).total_seconds())
        try:
            noted = await self._note(errand)
        except Conflict:
            return CONFLICT_SECONDS  # the outcome is kept: it is not sent again for this
        del self._errands[uid]
        if noted is None or not has_untold_news(noted):
            return None
        self._errands[uid] = _Errand(noted)
        return 0.0

    async def _try(self, errand: _Errand) -> datetime | None:
        name = errand.capture.metadata.name
        try:
            await self._send(news_of(errand.capture))
        except NotDelivered as error:
            errand.failures += 1
            errand.trouble = str(error)
            self._metrics.notifications.labels(result="error").inc()
            again = None if error.final else next_try(errand.capture, errand.failures, self._clock())
            log.warning("the outcome of ReplayCapture %s was not told: %s", name, error)
            if again is None:
                errand.outcome = NotificationState.FAILED
            return again
        self._metrics.notifications.labels(result="ok").inc()
        errand.outcome = NotificationState.DELIVERED
        return None

    async def _note(self, errand: _Errand) -> ReplayCapture | None:
        """Note what became of the news; the clip may have been uploaded before the outcome was told."""
        capture, told = self._captures.get(errand.capture.metadata.uid), errand.capture.status.notification
        if capture is None or told is None or errand.outcome is None:
            return None  # deleted meanwhile: there is nothing to note it on
        noted = told.model_copy(update={"state": errand.outcome})
        status = with_upload_news(capture.status.model_copy(update={"notification": noted}))
        written = await self._writer.write_capture(capture, status)
        if errand.outcome is NotificationState.FAILED:
            message = (
                f"REPLAY_NOTIFY_URL was not told in {errand.failures} tries: {errand.trouble}. "
                "It is not tried again; look at the receiver."
            )
            await self._writer.tell(
                CAPTURES, capture.metadata, Event(EventType.WARNING, "NotificationFailed", message)
            )
        return written

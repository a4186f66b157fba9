"""Declares metrics so that the page about them can be written from what is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.exposition import choose_encoder


class MetricKind(StrEnum):
    """The types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric as it was declared. `name` is the name in a query; of a histogram, without its suffixes."""

    name: str
    kind: MetricKind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What a scrape gets."""

    body: bytes
    content_type: str


class MetricRegistry:
    """A registry of prometheus_client that remembers what was declared on it.

    Args:
        registry: Holds the collectors; None: a new one, so that two processes in one test do not meet.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.collectors = registry or CollectorRegistry()
        self.declared: list[Declared] = []
        self._before: list[Callable[[], None]] = []

    def counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        """Declare a counter.

        Args:
            name: With `_total`.
            meaning: One sentence.
            labels: Their names; each has few values, never a name of a buffer, room or person.
        """
        self._declare(name, MetricKind.COUNTER, labels, meaning)
        return Counter(name, meaning, labels, registry=self.collectors)

    def gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        """Declare a gauge; see `counter`."""
        self._declare(name, MetricKind.GAUGE, labels, meaning)
        return Gauge(name, meaning, labels, registry=self.collectors)

    def histogram(
        self, name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
    ) -> Histogram:
        """Declare a histogram; see `counter`.

        Args:
            name: With its unit.
            meaning: One sentence.
            labels: Their names.
            buckets: Upper ends, without +Inf.
        """
        self._declare(name, MetricKind.HISTOGRAM, labels, meaning, tuple(buckets))
        return Histogram(name, meaning, labels, registry=self.collectors, buckets=buckets)

    def info(self, name: str, meaning: str, values: dict[str, str]) -> None:
        """Declare a metric that is always 1 and says something in its labels.

        Args:
            name: With `_info`.
            meaning: One sentence.
            values: What it says.
        """
        self._declare(name, MetricKind.INFO, tuple(values), meaning)
        Info(name.removesuffix("_info"), meaning, registry=self.collectors).info(values)

    def before_each_page(self, take: Callable[[], None]) -> None:
        """Have figures taken when somebody asks, which would cost too much to follow.

        Args:
            take: Sets gauges. It must be quick and must not raise.
        """
        self._before.append(take)

    def page(self, accept: str = "") -> Page:
        """Give what Prometheus reads: its text format, or OpenMetrics with exemplars where that is asked for.

        Args:
            accept: The header `Accept` of the request.
        """
        for take in self._before:
            take()
        encode, content_type = choose_encoder(accept)
        return Page(encode(self.collectors), content_type)

    def _declare(
        self,
        name: str,
        kind: MetricKind,
        labels: Sequence[str],
        meaning: str,
        buckets: tuple[float, ...] = (),
    ) -> None:
        self.declared.append(Declared(name, kind, tuple(labels), meaning, buckets))

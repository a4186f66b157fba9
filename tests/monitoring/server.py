"""A real Prometheus that scrapes what a test tells it to, for as long as a block lasts."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.rules import RULES
from tests.testbed.children import Children
from tests.testbed.ports import free_ports

SCRAPE_SECONDS = 1
_START_SECONDS = 30


class Prometheus:
    """A server that answers.

    Args:
        url: Where.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **query: str) -> Any:
        """Ask its API; give `data` of the answer."""
        address = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def values(self, expression: str) -> list[float]:
        """Evaluate an expression now."""
        return [value for _, value in self.series(expression)]

    def series(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Evaluate an expression now; give the labels of each value."""
        result = self.ask("query", query=expression)["result"]
        return [(line["metric"], float(line["value"][1])) for line in result]


@contextmanager
def prometheus(binary: str, folder: Path, targets: Mapping[str, Mapping[str, str]]) -> Iterator[Prometheus]:
    """Run a server that scrapes every second and evaluates the alerts as they are shipped.

    Args:
        binary: The program.
        folder: For its data; empty.
        targets: Labels of each `host:port`.
    """
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "replay",
                "static_configs": [
                    {"targets": [target], "labels": dict(labels)} for target, labels in targets.items()
                ],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    argv = [
        binary,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Children(folder) as children:
        children.start("prometheus", argv)
        _wait_until_ready(f"http://127.0.0.1:{port}", folder / "prometheus.log")
        yield Prometheus(f"http://127.0.0.1:{port}")


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise AssertionError(f"Prometheus does not answer:\n{log.read_text()}") from None
        time.sleep(0.1)

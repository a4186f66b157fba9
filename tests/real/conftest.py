"""A real livekit-server that media reach, for all tests below."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.livekit.server import new_link_or_skip, running_livekit_server
from tests.livekit_double.fixtures import API_KEY, API_SECRET
from tests.real.people import Door


def pytest_addoption(parser: pytest.Parser) -> None:
    """Pytest knows options only of directories on its command line: `make test` has none."""
    parser.addoption("--real-rooms", action="store_true", help="run them: the machine has to be calm")


@pytest.fixture(scope="session")
def asked_for(pytestconfig: pytest.Config) -> None:
    """Only when somebody asks for it."""
    if not pytestconfig.getoption("real_rooms", default=False):
        pytest.skip("media in real time need a calm machine: `make e2e-real` runs it")


@pytest.fixture(scope="session")
def real_server(asked_for: None) -> Iterator[Door]:
    """The server, with the key and the secret that the double has too."""
    with running_livekit_server(new_link_or_skip(), {API_KEY: API_SECRET}) as server:
        yield Door(server.media_url, API_KEY, API_SECRET)


@pytest.fixture(scope="session")
def door(real_server: Door) -> Door:
    """Where rooms are."""
    return real_server

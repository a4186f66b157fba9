"""A real livekit-server that media reach, for all tests below."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.livekit.server import new_link_or_skip, running_livekit_server
from tests.livekit_double.fixtures import API_KEY, API_SECRET
from tests.real.people import Door


@pytest.fixture(scope="session")
def door() -> Iterator[Door]:
    """The server, with the key and the secret that the double has too."""
    with running_livekit_server(new_link_or_skip(), {API_KEY: API_SECRET}) as server:
        yield Door(server.media_url, API_KEY, API_SECRET)

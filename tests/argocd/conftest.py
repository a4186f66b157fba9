"""Argo CD's Lua and kstatus for these tests."""

from collections.abc import Iterator

import pytest

from tests.argocd.argolua import ArgoLua, argolua_binary


def pytest_collection_finish(session: pytest.Session) -> None:
    """Has the program built before the first test, so that building counts against no test's time limit."""
    wanted = any("argolua" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not session.config.option.collectonly:
        argolua_binary()


@pytest.fixture(scope="session")
def argolua() -> Iterator[ArgoLua]:
    with ArgoLua(argolua_binary()) as process:
        yield process

"""Pytest fixtures of the test bed. The root conftest loads them as a plugin.

Programs that are missing are built after collection and before the first test, so that minutes of building
count against no test's time limit and their progress can be seen.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.testbed import binaries
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.errors import TestbedError

T = TypeVar("T")

_control_plane = pytest.StashKey[ControlPlaneBinaries | TestbedError]()
_livekit_server = pytest.StashKey[Path | TestbedError]()
_helm = pytest.StashKey[Path | TestbedError]()
_s3_server = pytest.StashKey[Path | TestbedError]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Has the programs ready that the collected tests need."""
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "control_plane_binaries" in wanted:
        _find(session.config, _control_plane, binaries.control_plane_binaries)
    if "livekit_server_binary" in wanted:
        _find(session.config, _livekit_server, binaries.livekit_server_binary)
    if "helm_binary" in wanted:
        _find(session.config, _helm, binaries.helm_binary)
    if "s3_server_binary" in wanted:
        _find(session.config, _s3_server, binaries.s3_server_binary)


@pytest.fixture(scope="session")
def control_plane_binaries(pytestconfig: pytest.Config) -> ControlPlaneBinaries:
    """The programs of the control plane."""
    return _value(_find(pytestconfig, _control_plane, binaries.control_plane_binaries))


@pytest.fixture(scope="session")
def livekit_server_binary(pytestconfig: pytest.Config) -> Path:
    """The program livekit-server."""
    return _value(_find(pytestconfig, _livekit_server, binaries.livekit_server_binary))


@pytest.fixture(scope="session")
def helm_binary(pytestconfig: pytest.Config) -> Path:
    """The program helm."""
    return _value(_find(pytestconfig, _helm, binaries.helm_binary))


@pytest.fixture(scope="session")
def s3_server_binary(pytestconfig: pytest.Config) -> Path:
    """The program versitygw."""
    return _value(_find(pytestconfig, _s3_server, binaries.s3_server_binary))


@pytest.fixture(scope="session")
def control_plane(control_plane_binaries: ControlPlaneBinaries) -> Iterator[ControlPlane]:
    """One Kubernetes control plane for all tests of the session that ask for it."""
    with ControlPlane(control_plane_binaries) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """The name of a new namespace, deleted after the test without waiting for the 5 to 10 s that takes."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def _find(
    config: pytest.Config, key: pytest.StashKey[T | TestbedError], get: Callable[[], T]
) -> T | TestbedError:
    """What was got, or why not, once a session.

    Raising here would end the session, also for tests that need none of this.
    """
    if key not in config.stash:
        try:
            config.stash[key] = get()
        except TestbedError as error:
            config.stash[key] = error
    return config.stash[key]


def _value(outcome: T | TestbedError) -> T:
    if isinstance(outcome, TestbedError):
        raise outcome
    return outcome

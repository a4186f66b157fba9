import socket

import pytest

from tests.testbed import ports
from tests.testbed.ports import NoFreePortError, free_ports


def test_free_ports_are_different_and_can_be_bound() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_too_few_free_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_is_free", lambda _: False)
    with pytest.raises(NoFreePortError, match="1 free ports are wanted"):
        free_ports(1)

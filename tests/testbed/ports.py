"""Free TCP ports on the loopback address, for servers that cannot be told to choose one."""

import random
import socket
from itertools import islice
from pathlib import Path

from tests.testbed.errors import TestbedError

LOWEST_PORT = 20_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 1000


class NoFreePortError(TestbedError):
    """All ports that were tried are taken."""


def free_ports(count: int) -> list[int]:
    """Different ports on 127.0.0.1 that nothing listens on.

    They lie below the range from which the kernel takes the ports of outgoing connections, so that none of
    those can take one between this answer and the server's start.

    Raises:
        NoFreePortError: there are not that many.
    """
    lowest_ephemeral = int(_EPHEMERAL_RANGE.read_text().split()[0]) if _EPHEMERAL_RANGE.exists() else 32_768
    candidates = range(min(LOWEST_PORT, lowest_ephemeral // 2), lowest_ephemeral)
    tried = random.sample(candidates, k=min(_ATTEMPTS, len(candidates)))
    found = list(islice(filter(_is_free, tried), count))
    if len(found) < count:
        raise NoFreePortError(
            f"{count} free ports are wanted from {candidates.start} to {candidates.stop - 1}, "
            f"{len(found)} were found: end what listens there"
        )
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

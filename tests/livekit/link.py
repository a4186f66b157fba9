"""A network link from this machine into a namespace: media travel over UDP, which no Unix socket carries."""

from __future__ import annotations

import ipaddress
import secrets
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# RFC 2544 keeps these for tests between two machines: they are in nobody's routing table.
_TEST_NETWORK = ipaddress.ip_network("198.18.0.0/15")
_LINK_PREFIX = 30
_UNSHARED_SECONDS = 10.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Link:
    """Two interfaces that are joined. The kernel removes both when the namespace ends.

    Attributes:
        interface_here: Name on this side.
        interface_there: Name in the namespace.
        address_here: Address on this side.
        address_there: Address in the namespace.
    """

    interface_here: str
    interface_there: str
    address_here: str
    address_there: str


def new_link() -> Link:
    """Choose names and addresses; nothing is made yet. libwebrtc leaves `lo` out, so it has to be another."""
    subnets = 1 << (_LINK_PREFIX - _TEST_NETWORK.prefixlen)
    first = _TEST_NETWORK[secrets.randbelow(subnets) << (32 - _LINK_PREFIX)]
    # Fifteen characters at most (IFNAMSIZ).
    suffix = secrets.token_hex(4)
    return Link(f"rtc-{suffix}", f"lk-{suffix}", str(first + 1), str(first + 2))


def lay_link(link: Link, pid: int) -> None:
    """Make the interfaces. Needs root.

    Args:
        link: What to make.
        pid: A process that is in the namespace, or about to unshare it.

    Raises:
        RuntimeError: The process made no namespace in time.
        subprocess.CalledProcessError: `ip` refused.
    """
    _wait_for_namespace(pid)
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    ends = ["type", "veth", "peer", "name", link.interface_there, "netns", str(pid)]
    _run("ip", "link", "add", link.interface_here, *ends)
    _run("ip", "address", "add", f"{link.address_here}/{_LINK_PREFIX}", "dev", link.interface_here)
    _run("ip", "link", "set", link.interface_here, "up")
    _run(*inside, "ip", "link", "set", link.interface_there, "up")
    # The address last: it tells those inside that everything is there.
    _run(*inside, "ip", "address", "add", f"{link.address_there}/{_LINK_PREFIX}", "dev", link.interface_there)


def _wait_for_namespace(pid: int) -> None:
    ours = Path("/proc/self/ns/net").readlink()
    deadline = time.monotonic() + _UNSHARED_SECONDS
    while Path(f"/proc/{pid}/ns/net").readlink() == ours:
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {pid} is still in this network namespace: did unshare fail?")
        time.sleep(_POLL_SECONDS)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)

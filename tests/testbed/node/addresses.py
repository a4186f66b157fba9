"""Addresses for pods, all on the loopback network of the machine."""

import ipaddress
import random

# All of 127/8 is loopback on Linux without any set-up, so nothing listens outside the machine, and two pods
# can use the same port.
_NETWORK = ipaddress.ip_network("127.77.0.0/16")


class AddressPool:
    """Hands out addresses in turn. The random start keeps test runs side by side apart."""

    def __init__(self) -> None:
        self._next = random.randrange(1, _NETWORK.num_addresses - 1)
        self._used: set[str] = set()

    def take(self) -> str:
        """An address that no living pod has, and that was not used a moment ago."""
        while True:
            address = str(_NETWORK[self._next])
            self._next = self._next % (_NETWORK.num_addresses - 2) + 1
            if address not in self._used:
                self._used.add(address)
                return address

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        self._used.discard(address)

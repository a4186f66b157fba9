"""LiveKit's double in a process of its own, with rooms full of people who share their screen.

Its environment variable for rooms is too short for thousands of people.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal

from tests.livekit_double.server.double import LiveKitDouble
from tests.livekit_double.signals import received

PEOPLE_PER_ROOM = 10
SOURCES = ("SCREEN_SHARE", "SCREEN_SHARE_AUDIO")


def place_of(number: int) -> tuple[str, str]:
    """Give room and identity of a buffer's participant.

    Args:
        number: Of the buffer, from 0.
    """
    return f"room-{number // PEOPLE_PER_ROOM}", f"person-{number}"


async def serve(people: int, *, port: int, api_key: str, api_secret: str) -> None:
    """Serve until SIGTERM.

    Args:
        people: How many participants there are, each with a screen and its sound.
        port: TCP port on the loopback address.
        api_key: LiveKit API key.
        api_secret: Its secret.
    """
    double = LiveKitDouble({api_key: api_secret})
    for number in range(people):
        double.rooms.join(*place_of(number), SOURCES)
    await double.start(port=port)
    print(f"listening on {double.url}", flush=True)
    await received(signal.SIGTERM, signal.SIGINT)
    await double.stop()


def main() -> None:
    """Run the process; key and secret come from the environment, as everywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(
        serve(
            arguments.people,
            port=arguments.port,
            api_key=os.environ["LIVEKIT_API_KEY"],
            api_secret=os.environ["LIVEKIT_API_SECRET"],
        )
    )


if __name__ == "__main__":
    main()

"""The server process: settings from the environment, until SIGTERM or SIGINT."""

import json
import signal
from collections.abc import Mapping, Sequence

import yaml

from tests.livekit_double.server.double import LiveKitDouble
from tests.livekit_double.signals import received
from tests.livekit_double.timing import timing_from_environment


async def run(environment: Mapping[str, str], *, bind: str, port: int, webhook: Sequence[str]) -> None:
    """Serves.

    Args:
        environment: `LIVEKIT_KEYS` ("key: secret"), `LIVEKIT_DOUBLE_ROOMS` (JSON: room, identity, sources),
            `LIVEKIT_DOUBLE_ROOMS_URL` (a real livekit-server with the same keys that has the rooms).
        bind: address.
        port: 0 takes a free one; the first line on stdout says which.
        webhook: URLs that get every event.

    Raises:
        SystemExit: without keys.
    """
    keys = yaml.safe_load(environment.get("LIVEKIT_KEYS", ""))
    if not isinstance(keys, dict) or not keys:
        raise SystemExit('LIVEKIT_KEYS is missing: give it as "key: secret"')
    double = LiveKitDouble(
        {str(key): str(secret) for key, secret in keys.items()},
        timing=timing_from_environment(environment),
        webhook_urls=webhook,
        rooms_url=environment.get("LIVEKIT_DOUBLE_ROOMS_URL", ""),
    )
    for room, people in json.loads(environment.get("LIVEKIT_DOUBLE_ROOMS", "{}")).items():
        double.rooms.create(room)
        for identity, sources in people.items():
            double.rooms.join(room, identity, sources)
    await double.start(bind, port)
    print(f"listening on {double.url}", flush=True)
    await received(signal.SIGTERM, signal.SIGINT)
    await double.stop()

"""`python -m tests.livekit_double server | worker`."""

import argparse
import asyncio
import importlib
import os


def main() -> None:
    """Runs one of the two processes until a signal ends it."""
    parser = argparse.ArgumentParser(prog="livekit_double", description=__doc__)
    processes = parser.add_subparsers(dest="process", required=True)
    server = processes.add_parser("server", help="the Twirp API; LIVEKIT_KEYS, LIVEKIT_DOUBLE_ROOMS")
    server.add_argument("--bind", default="127.0.0.1", help="address (default: %(default)s)")
    server.add_argument("--port", type=int, default=7880, help="0 takes a free one (default: %(default)s)")
    server.add_argument("--webhook", action="append", default=[], help="URL that gets every event")
    processes.add_parser("worker", help="an egress worker; EGRESS_CONFIG_BODY")
    arguments = vars(parser.parse_args())
    # Each process loads its own half only: the server needs neither encoders nor numpy.
    process = importlib.import_module(f"tests.livekit_double.{arguments.pop('process')}.process")
    asyncio.run(process.run(os.environ, **arguments))


if __name__ == "__main__":
    main()

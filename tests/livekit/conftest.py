"""Fixtures of the tests below."""

from tests.livekit.server import livekit_server

__all__ = ["livekit_server"]

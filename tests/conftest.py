"""Fixtures that every layer may use are loaded here; each lives beside what it starts."""

pytest_plugins = ["tests.testbed.fixtures", "tests.livekit_double.fixtures"]

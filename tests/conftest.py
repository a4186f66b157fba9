"""Fixtures that every layer may use are loaded here; each lives beside what it starts."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.testbed.fixtures", "tests.livekit_double.fixtures"]

# How long an example takes tells of the machine, which other work may keep busy, and nothing of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("any machine")

"""A stand-in for livekit-server's Twirp API and its egress workers.

It answers with the real protobuf messages and writes real H.264/AAC segments, late and in the order in which
the real worker was measured to. `tests/test_conformance.py` holds it against recordings of the real thing.

Two processes: `python -m tests.livekit_double server` and `python -m tests.livekit_double worker`.
In a test: the fixture `livekit_double` of `fixtures.py`.
"""

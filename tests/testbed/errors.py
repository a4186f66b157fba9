"""What can go wrong with the test bed itself."""


class TestbedError(RuntimeError):
    """The test bed cannot be brought up or used. The message says why and what the reader can do."""

    __test__ = False  # a name that begins with Test is a test class to pytest

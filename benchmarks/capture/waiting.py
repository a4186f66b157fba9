"""A capture worker that has started already, as the Job has when it waits for the newest segment."""

from __future__ import annotations

import os
import sys

from replay_operator.media.worker import run_capture


def main() -> int:
    """Say that everything is loaded, wait for the word, make the clip."""
    os.write(1, b"ready\n")
    sys.stdin.readline()
    return run_capture(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())

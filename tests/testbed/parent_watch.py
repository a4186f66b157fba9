"""Ends child processes whose parent is gone. A program of its own that `children.py` runs.

It reads process ids from standard input, one a line. The end of the input means that the parent has died,
because only the parent holds the other end of the pipe. A pipe is used and not PR_SET_PDEATHSIG, because that
one follows the thread that started the child, and test runners use threads that end before they do.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Waits for the parent's death, then kills the process groups that it named."""
    pidfds: dict[int, int] = {}
    for line in sys.stdin:
        with contextlib.suppress(ProcessLookupError):
            pidfds[int(line)] = os.pidfd_open(int(line))
    for pid, pidfd in pidfds.items():
        with contextlib.suppress(ProcessLookupError):
            # A process id may be a stranger's by now. A pidfd never is: this raises when our child has gone.
            signal.pidfd_send_signal(pidfd, 0)
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()

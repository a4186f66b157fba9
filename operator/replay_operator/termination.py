"""Leaves the termination message of a pod: how a Job without access to the API answers the operator."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

TERMINATION_VARIABLE = "TERMINATION_MESSAGE_PATH"
_KUBERNETES_TERMINATION_LOG = "/dev/termination-log"
_log = logging.getLogger(__name__)


def write_termination_message(text: str, environment: Mapping[str, str]) -> None:
    """Write the message, if this is a pod or the environment names a file.

    Args:
        text: At most 4096 bytes are kept, of its end.
        environment: The process's environment.
    """
    path = environment.get(TERMINATION_VARIABLE)
    if path is None:
        # Outside a pod there is none, and it is not ours to make one in /dev.
        if not os.access(_KUBERNETES_TERMINATION_LOG, os.W_OK):
            return
        path = _KUBERNETES_TERMINATION_LOG
    try:
        # In place: the kubelet has mounted this very file.
        Path(path).write_text(text)
    except OSError as error:
        _log.warning("cannot write the termination message to %s: %s", path, error.strerror)

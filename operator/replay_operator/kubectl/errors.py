"""What goes wrong, in kubectl's words."""

from __future__ import annotations

from replay_operator.cluster.gateway import ClusterError

EXIT_ERROR = 1
"""As kubectl: refused, not found, not reachable, not understood, or not in time."""

EXIT_NO_CLIP = 2
"""`save --wait`, `download`: the capture has failed, and asking again changes nothing."""

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_NO_ANSWER = 0
_INVALID = 422


class PluginError(Exception):
    """A sentence for the user, and the exit code that goes with it."""

    def __init__(self, message: str, *, exit_code: int = EXIT_ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotFound(PluginError):
    """The object is not there. Worded as the API server would."""

    def __init__(self, resource: str, name: str) -> None:
        """Name the object.

        Args:
            resource: Plural with group, such as replaybuffers.replaybuffer.dev.
            name: Which one.
        """
        super().__init__(f'Error from server (NotFound): {resource} "{name}" not found')


def sentence(error: PluginError) -> str:
    """Give the line for standard error: what the server said stands alone, all else after "error:"."""
    text = str(error)
    return text if text.startswith("Error from server") else f"error: {text}"


def server_sentence(error: ClusterError) -> str:
    """Give the line for standard error as kubectl words an answer of the API server.

    Args:
        error: What the gateway raised.
    """
    if error.code == _NO_ANSWER:
        return f"Unable to connect to the server: {error}"
    said = str(error.answer.get("message") or error)
    reason = str(error.answer.get("reason") or "")
    if error.code == _INVALID:
        return _invalid(error, said)
    return f"Error from server ({reason}): {said}" if reason else f"Error from server: {said}"


def _invalid(error: ClusterError, said: str) -> str:
    details = error.answer.get("details") or {}
    causes = [f"{cause.get('field')}: {cause.get('message')}" for cause in details.get("causes") or ()]
    if not causes:
        return f"Error from server (Invalid): {said}"
    told = causes[0] if len(causes) == 1 else "".join(f"\n* {cause}" for cause in causes)
    return f'The {details.get("kind", "object")} "{details.get("name", "")}" is invalid: {told}'

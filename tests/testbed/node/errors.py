"""Why a container or a pod cannot start yet. The words end up in the pod's status."""


class ContainerWaitingError(Exception):
    """The container cannot start now; it is tried again.

    Attributes:
        reason: the kubelet's word for it, for example `CreateContainerConfigError`.
        message: what is missing, for the reader of `kubectl describe pod`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ContainerStartError(Exception):
    """The container's process could not be made: a mount failed or the command does not exist."""

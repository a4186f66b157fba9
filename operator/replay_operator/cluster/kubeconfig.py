"""What the user's kubeconfig says beside how to connect."""

from __future__ import annotations

from pathlib import Path

from kubernetes.aio.config import ConfigException, list_kube_config_contexts

DEFAULT_NAMESPACE = "default"


def current_namespace(kubeconfig: Path | None) -> str:
    """Give the namespace of the current context, as kubectl would take it.

    Args:
        kubeconfig: File to use; None: the usual one.
    """
    try:
        _, current = list_kube_config_contexts(config_file=str(kubeconfig) if kubeconfig else None)  # type: ignore[no-untyped-call] # the client ships no types
    except ConfigException:
        return DEFAULT_NAMESPACE
    return str((current or {}).get("context", {}).get("namespace") or DEFAULT_NAMESPACE)

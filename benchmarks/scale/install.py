"""An install with the rights and settings of `manifests/base`, for an operator outside the cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.controlplane import ControlPlane

CHECKOUT = Path(__file__).resolve().parents[2]
NAMESPACE = "scale"
OPERATOR_USER = f"system:serviceaccount:{NAMESPACE}:replay-operator"

_KINDS = frozenset(
    {"CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding", "HorizontalPodAutoscaler"}
)
_SETTINGS = "replay-operator-settings"


def install(plane: ControlPlane) -> Mapping[str, str]:
    """Make the namespace with definitions, rights and the fleet's autoscaler; no pod runs in it.

    Args:
        plane: The control plane.

    Returns:
        The operator's settings, as its ConfigMap holds them.
    """
    rendered = plane.kubectl("kustomize", str(CHECKOUT / "manifests" / "base"))
    objects: list[dict[str, Any]] = [found for found in yaml.safe_load_all(rendered) if found]
    wanted = [found for found in objects if found["kind"] in _KINDS]
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("apply", "-f", str(CHECKOUT / "crds" / "replaybuffers.yaml"))
    plane.kubectl("apply", "-f", str(CHECKOUT / "crds" / "replaycaptures.yaml"))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    plane.kubectl(
        *("-n", NAMESPACE, "apply", "-f", "-"),
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}),
    )
    return next(
        {str(key): str(value) for key, value in found["data"].items()}
        for found in objects
        if found["kind"] == "ConfigMap" and found["metadata"]["name"] == _SETTINGS
    )


def operator_kubeconfig(plane: ControlPlane, path: Path) -> Path:
    """Write a kubeconfig with a token of the operator's ServiceAccount.

    Args:
        plane: The control plane.
        path: Where to.
    """
    token = plane.kubectl("-n", NAMESPACE, "create", "token", "replay-operator", "--duration=6h").strip()
    config = json.loads(plane.kubeconfig.read_text())
    config["users"] = [{"name": "replay-operator", "user": {"token": token}}]
    config["contexts"] = [
        {
            "name": "scale",
            "context": {
                "cluster": config["clusters"][0]["name"],
                "user": "replay-operator",
                "namespace": NAMESPACE,
            },
        }
    ]
    config["current-context"] = "scale"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path

"""`manifests/argocd/resource_customizations` in Argo CD's own layout, and as a patch for argocd-cm."""

from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
CUSTOMIZATIONS = MANIFESTS / "argocd" / "resource_customizations"
CONFIG_MAP = MANIFESTS / "argocd" / "argocd-cm.yaml"
KINDS = sorted(path.parent for path in CUSTOMIZATIONS.glob("*/*/health.lua"))

_HEADING = """\
# Health, actions and quiet refreshes for both kinds:
#   kubectl -n argocd patch configmap argocd-cm --patch-file manifests/argocd/argocd-cm.yaml
# It adds keys and changes no other. Made from resource_customizations/ by `make generate`.
# docs/gitops.md explains it.
"""


class _Literal(str):
    """Text that YAML shows as a block of lines."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes scripts as people write them."""


_Dumper.add_representer(
    _Literal, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|")
)


def action_names(kind: Path) -> list[str]:
    """The actions of a kind, by their folders."""
    return sorted(path.parent.name for path in kind.glob("actions/*/action.lua"))


def as_config_map() -> str:
    """The patch for argocd-cm, as YAML."""
    data: dict[str, str] = {}
    for kind in KINDS:
        name = f"{kind.parent.name}_{kind.name}"
        data[f"resource.customizations.health.{name}"] = (kind / "health.lua").read_text()
        data[f"resource.customizations.actions.{name}"] = _dump(
            {
                "discovery.lua": _Literal((kind / "actions" / "discovery.lua").read_text()),
                "definitions": [
                    {
                        "name": action,
                        "action.lua": _Literal((kind / "actions" / action / "action.lua").read_text()),
                    }
                    for action in action_names(kind)
                ],
            }
        )
        # The default since Argo CD 3.0. Health is looked at all the same.
        data[f"resource.customizations.ignoreResourceUpdates.{name}"] = _dump({"jsonPointers": ["/status"]})
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm"},
        "data": {key: _Literal(text) for key, text in data.items()},
    }
    return _HEADING + _dump(body)


def _dump(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120)

"""What of `manifests/` is as the chart renders it: one truth for both ways to install."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.helm.chart import NAMESPACE, ROOT, render_text

MANIFESTS = ROOT / "manifests"
TEMPLATES: Mapping[str, str] = {
    "base/rbac.yaml": "rbac.yaml",
    "base/settings.yaml": "settings.yaml",
    "base/catalogue.yaml": "catalogue.yaml",
    "base/operator.yaml": "operator.yaml",
    "base/agent.yaml": "agent.yaml",
    "base/fleet.yaml": "fleet.yaml",
    "base/autoscaler.yaml": "autoscaler.yaml",
    "doctor/rbac.yaml": "tests/doctor-rbac.yaml",
    "doctor/job.yaml": "tests/doctor.yaml",
    "preview/services.yaml": "preview.yaml",
}
"""A file below manifests/, and the template that it comes from."""

PREVIEW: Mapping[str, Any] = {"preview": {"enabled": True, "url": "https://replay.example.org"}}
_VALUES: Mapping[str, Mapping[str, Any]] = {"preview.yaml": PREVIEW}
"""Of templates that are empty by default."""

_HEADER = "# Written by `make generate` from {template}: change it there."

_OF_HELM = re.compile(
    r"^ +(?:helm\.sh/\S+|checksum/\S+|app\.kubernetes\.io/(?:instance|managed-by|version)): .*\n",
    re.MULTILINE,
)
"""What only Helm needs. A checksum would be wrong as soon as an overlay changes the settings."""

_EMPTY_ANNOTATIONS = re.compile(r"^( +)annotations:\n(?!\1 )", re.MULTILINE)
_EMPTY_LINES = re.compile(r"^\n", re.MULTILINE)
_WITH_PARAGRAPHS = "settings.yaml"
"""Its empty lines are meant. Elsewhere they are where a template had nothing to say."""


def base_manifests() -> dict[Path, str]:
    """Render the files, by their path."""
    return {
        MANIFESTS / file: plain(render_text(_VALUES.get(template), only=[template]), template)
        for file, template in TEMPLATES.items()
    }


def plain(rendered: str, template: str) -> str:
    """Take out of a rendered template what is Helm's own, and keep its comments.

    Args:
        rendered: What helm printed.
        template: Where it comes from, below templates/.
    """
    text = re.sub(r"^# Source: .*\n", "", rendered, flags=re.MULTILINE)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    # The namespace of a subject: without one it means the binding's own, whichever the user installs into.
    text = re.sub(rf"^ +namespace: {NAMESPACE}\n", "", text, flags=re.MULTILINE)
    text = _OF_HELM.sub("", text)
    if template != _WITH_PARAGRAPHS:
        text = _EMPTY_LINES.sub("", text)
    text = _EMPTY_ANNOTATIONS.sub("", text)
    header = _HEADER.format(template=f"helm/replay-operator/templates/{template}")
    return f"{header}\n{text.removeprefix('---').lstrip()}"

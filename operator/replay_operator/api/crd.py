"""The CustomResourceDefinitions of both kinds, made from the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay_operator.api.crd_schema import structural_schema, with_figures_told, without_defaults
from replay_operator.api.model import GROUP, VERSION, ApiModel
from replay_operator.api.replaybuffer import (
    BUFFER_KIND,
    BUFFER_PLURAL,
    ReplayBuffer,
    ReplayBufferSpec,
    ReplayBufferStatus,
)
from replay_operator.api.replaycapture import (
    CAPTURE_KIND,
    CAPTURE_PLURAL,
    ReplayCapture,
    ReplayCaptureSpec,
    ReplayCaptureStatus,
)

_WIDE_ONLY = 1
"""Priority of a column that only `kubectl get -o wide` shows."""


@dataclass(frozen=True)
class _Column:
    name: str
    json_path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True)
class _Kind:
    kind: str
    plural: str
    short_name: str
    model: type[ApiModel]
    spec: type[ApiModel]
    status: type[ApiModel]
    columns: tuple[_Column, ...]


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


_AGE = _Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", type="date")

# Instants are columns of type string: kubectl shows a date as an age, and an instant to come as <invalid>.
_BUFFER_COLUMNS = (
    _Column("Room", ".spec.room", "Name of the LiveKit room."),
    _Column("Participant", ".spec.source.participant.identity", "Identity of the participant."),
    _Column("Recording", _condition("Recording", "status"), "Whether it records now."),
    _Column("State", _condition("Recording", "reason"), "Why it records, or does not."),
    _Column("Window", ".status.window.seconds", "How far back it reaches, in seconds.", type="integer"),
    _Column("Worker", ".status.egress.worker", "Fleet pod that records."),
    _Column("Egress", ".status.egress.id", "LiveKit egress id.", priority=_WIDE_ONLY),
    _AGE,
)
_CAPTURE_COLUMNS = (
    _Column("Buffer", ".spec.bufferRef.name", "The ReplayBuffer that it is cut from."),
    _Column("Ready", _condition("Ready", "status"), "Whether the clip is complete and verified."),
    _Column("State", _condition("Ready", "reason"), "Why it is ready, or not."),
    _Column("Milliseconds", ".status.clip.milliseconds", "Length of the clip.", type="integer"),
    _Column("Start", ".status.clip.start", "First instant shown.", priority=_WIDE_ONLY),
    _Column("Clip", ".status.clip.path", "Path of the MP4 on the archive volume."),
    _Column("Expected", ".status.expectedReadyTime", "When the clip should be ready.", priority=_WIDE_ONLY),
    _AGE,
)

_KINDS = (
    _Kind(
        kind=BUFFER_KIND,
        plural=BUFFER_PLURAL,
        short_name="rb",
        model=ReplayBuffer,
        spec=ReplayBufferSpec,
        status=ReplayBufferStatus,
        columns=_BUFFER_COLUMNS,
    ),
    _Kind(
        kind=CAPTURE_KIND,
        plural=CAPTURE_PLURAL,
        short_name="rcap",
        model=ReplayCapture,
        spec=ReplayCaptureSpec,
        status=ReplayCaptureStatus,
        columns=_CAPTURE_COLUMNS,
    ),
)


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Give the CustomResourceDefinitions of ReplayBuffer and ReplayCapture, ready to be written as YAML.

    Raises:
        UnsupportedSchemaError: A model says something that a structural schema cannot hold.
    """
    return [_definition(kind) for kind in _KINDS]


def _definition(kind: _Kind) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["all", "replay"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def _printer_column(column: _Column) -> dict[str, Any]:
    written = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.json_path,
        "description": column.description,
    }
    return written | ({"priority": column.priority} if column.priority else {})


def _root_schema(kind: _Kind) -> dict[str, Any]:
    return {
        "description": kind.model.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"Always {kind.kind}.", "type": "string"},
            "metadata": {"type": "object"},  # the API server allows no description here and shows its own
            "spec": with_figures_told(structural_schema(kind.spec)),
            "status": without_defaults(structural_schema(kind.status)),
        },
    }

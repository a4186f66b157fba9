"""The environment of a container and the $(VAR) references in its command. Pure."""

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from tests.testbed.node.api import Json
from tests.testbed.node.errors import ContainerWaitingError
from tests.testbed.node.quantities import quantity

# (kind, name) -> content. A missing object is absent.
Sources = Mapping[tuple[str, str], Mapping[str, bytes]]

_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[^)]+)\))")
_KEYED_FIELD = re.compile(r"metadata\.(?P<map>labels|annotations)\['(?P<key>[^']+)'\]$")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` as the kubelet does: `$$` is a dollar sign, an unknown name stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return "$"
        return variables.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def referenced_sources(container: Json) -> Iterator[tuple[str, str]]:
    """The ConfigMaps and Secrets that the container's environment is made of, as (kind, name)."""
    for entry in container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in entry:
                yield kind, entry[field]["name"]
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in source:
                yield kind, source[field]["name"]


def container_environment(
    pod: Json, container: Json, base: Mapping[str, str], sources: Sources
) -> dict[str, str]:
    """The variables that the container sees.

    Args:
        pod: with `status.podIP` filled in, for the downward API.
        container: of that pod.
        base: variables of the image and of the node; the container's own win, and may refer to them.
        sources: the objects named by `referenced_sources`.

    Raises:
        ContainerWaitingError: a ConfigMap, Secret or key that is not optional is missing.
    """
    environment = dict(base)
    for entry in container.get("envFrom", []):
        environment |= _whole_source(entry, sources)
    for variable in container.get("env", []):
        name = variable["name"]
        if "valueFrom" in variable:
            value = _value_from(pod, container, variable["valueFrom"], sources)
            if value is not None:
                environment[name] = value
        else:
            environment[name] = expand(variable.get("value", ""), environment)
    return environment


def _whole_source(entry: Json, sources: Sources) -> dict[str, str]:
    kind, reference = (
        ("ConfigMap", entry["configMapRef"]) if "configMapRef" in entry else ("Secret", entry["secretRef"])
    )
    content = sources.get((kind, reference["name"]))
    if content is None:
        if reference.get("optional"):
            return {}
        raise _missing(f"{kind} {reference['name']} not found")
    return {entry.get("prefix", "") + key: value.decode() for key, value in content.items()}


def _value_from(pod: Json, container: Json, source: Json, sources: Sources) -> str | None:
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_value(container, source["resourceFieldRef"])
    kind, reference = (
        ("ConfigMap", source["configMapKeyRef"])
        if "configMapKeyRef" in source
        else ("Secret", source["secretKeyRef"])
    )
    content = sources.get((kind, reference["name"]), {})
    if reference["key"] in content:
        return content[reference["key"]].decode()
    if reference.get("optional"):
        return None
    raise _missing(f"key {reference['key']} of {kind} {reference['name']} not found")


def _missing(message: str) -> ContainerWaitingError:
    return ContainerWaitingError("CreateContainerConfigError", message)


def field_value(pod: Json, field_path: str) -> str:
    """A field of the pod as the downward API writes it.

    Raises:
        ContainerWaitingError: the path is not one of those the stand-in knows.
    """
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if keyed := _KEYED_FIELD.match(field_path):
        return str(metadata.get(keyed["map"], {}).get(keyed["key"], ""))
    if field_path in ("metadata.labels", "metadata.annotations"):
        entries = metadata.get(field_path.partition(".")[2], {})
        return "\n".join(f'{key}="{value}"' for key, value in sorted(entries.items()))
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
    }
    if field_path not in simple:
        raise _missing(f"the node stand-in does not know the field path {field_path}")
    return str(simple[field_path])


def resource_value(container: Json, reference: Json) -> str:
    """A request or limit in units of its divisor, rounded up; 0 when the container does not set it."""
    part, _, resource = reference["resource"].partition(".")
    amount = quantity(container.get("resources", {}).get(part, {}).get(resource, "0"))
    divisor = quantity(reference.get("divisor", "1")) or Decimal(1)  # 0 means the default
    return str(math.ceil(amount / divisor))

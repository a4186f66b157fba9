"""Fetches the objects that containers and volumes are made of."""

import base64
from collections.abc import Iterable

from tests.testbed.node.api import Json, KubernetesApi

_TOKEN_SECONDS = 3600


async def read_source(api: KubernetesApi, namespace: str, kind: str, name: str) -> dict[str, bytes] | None:
    """The content of a ConfigMap or Secret by key, or None when it does not exist.

    Args:
        api: to read from.
        namespace: of the object.
        kind: `ConfigMap` or `Secret`.
        name: of the object.
    """
    plural = {"ConfigMap": "configmaps", "Secret": "secrets"}[kind]
    found = await api.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
    if found is None:
        return None
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    content = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    binary = {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return content | binary


async def read_sources(
    api: KubernetesApi, namespace: str, references: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, bytes]]:
    """Those of the referenced objects that exist, by (kind, name)."""
    found = {}
    for kind, name in set(references):
        content = await read_source(api, namespace, kind, name)
        if content is not None:
            found[kind, name] = content
    return found


async def request_token(api: KubernetesApi, pod: Json, projection: Json) -> bytes:
    """A token of the pod's service account, bound to the pod.

    Args:
        api: to ask.
        pod: that will hold the token.
        projection: the `serviceAccountToken` part of a projected volume.
    """
    metadata = pod["metadata"]
    namespace = metadata["namespace"]
    account = pod["spec"].get("serviceAccountName", "default")
    spec: Json = {
        "expirationSeconds": projection.get("expirationSeconds", _TOKEN_SECONDS),
        "boundObjectRef": {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
    }
    if projection.get("audience"):
        spec["audiences"] = [projection["audience"]]
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = await api.request("POST", path, body)
    return str(answer["status"]["token"]).encode()

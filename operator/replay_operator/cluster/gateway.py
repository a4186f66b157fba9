"""The one door to the Kubernetes API: plain JSON in and out, errors as domain words."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

from replay_operator.api.meta import ObjectMeta
from replay_operator.cluster.resources import ResourceType, resource_of

Json = dict[str, Any]

OnCall = Callable[[str, str, int, float], None]

FIELD_MANAGER = "replay-operator"
REQUEST_SECONDS = 20.0
"""Longer than an API server needs when it is well, shorter than anyone waits when it is not."""

_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
_PAGE = 500


class ClusterError(Exception):
    """The Kubernetes API did not do what was asked. `code` is the HTTP status, 0 when none came.

    `answer` is the Status object that came with it, for those who show its words alone.
    """

    def __init__(self, code: int, message: str, answer: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.answer = answer or {}


class ClusterUnreachable(ClusterError):
    """No answer, or an answer that says "later" (429, 5xx): trying again can help."""


class Conflict(ClusterError):
    """The object exists already, has changed meanwhile, or belongs to another field manager."""


class Forbidden(ClusterError):
    """The Role lacks a verb, or admission refused the object."""


@dataclass(frozen=True, slots=True)
class Document:
    """What the API server says of itself. `date` is the text of the header `Date`."""

    body: Json
    date: str


class KubernetesGateway:
    """Reads and writes Kubernetes objects as plain dictionaries.

    Plain dictionaries rather than the client's models: a watch of thousands of objects would
    otherwise cost a multiple of the memory (DESIGN §5), and unknown fields would be lost.
    """

    def __init__(self, client: ApiClient, on_call: OnCall | None = None) -> None:
        self._client = client
        self._on_call = on_call

    @classmethod
    async def connect(
        cls, kubeconfig: Path | None = None, on_call: OnCall | None = None
    ) -> KubernetesGateway:
        """Connect with the pod's service account, or with a kubeconfig outside a cluster.

        Args:
            kubeconfig: File to use; None: the service account, else the usual kubeconfig.
            on_call: Told of each call: method, type of object, HTTP status (0 without an answer), seconds.
        """
        configuration = Configuration()
        configuration.retries = None
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the client ships no types
        else:
            await load_kube_config(  # type: ignore[no-untyped-call] # the client ships no types
                config_file=str(kubeconfig) if kubeconfig else None,
                client_configuration=configuration,
                persist_config=False,
            )
        return cls(ApiClient(configuration), on_call)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call] # the client ships no types

    async def get(self, type_: ResourceType, namespace: str, name: str) -> Json | None:
        """Read one object, or None when it does not exist."""
        return await self._request("GET", type_.path(namespace, name))

    async def list(
        self, type_: ResourceType, namespace: str, *, labels: str | None = None
    ) -> tuple[Json, ...]:
        """Read all objects of a type.

        Args:
            type_: What to list.
            namespace: Where.
            labels: Label selector.
        """
        return tuple([item async for page in self.pages(type_, namespace, labels=labels) for item in page])

    async def named(self, type_: ResourceType, namespace: str, name: str) -> Json | None:
        """Read one object by the right to list alone, or None when it does not exist.

        Args:
            type_: What to read.
            namespace: Where.
            name: Which object; a name that the API server would take.
        """
        query = {"fieldSelector": f"metadata.name={name}", "limit": "1"}
        page = await self._request("GET", type_.path(namespace), query=query) or {}
        return next(iter(page.get("items", [])), None)

    async def pages(
        self, type_: ResourceType, namespace: str, *, labels: str | None = None
    ) -> AsyncIterator[tuple[Json, ...]]:
        """Read all objects of a type page by page, for callers who keep less of an object than there is.

        Args:
            type_: What to list.
            namespace: Where.
            labels: Label selector.
        """
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        while True:
            page = await self._request("GET", type_.path(namespace), query=query) or {}
            yield tuple(page.get("items", []))
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            query["continue"] = token

    async def exists(self, type_: ResourceType, namespace: str) -> bool:
        """Tell whether the API server serves a type (its definition is installed)."""
        return await self._request("GET", type_.path(namespace), query={"limit": "1"}) is not None

    async def document(self, path: str) -> Document | None:
        """Read what is no object, such as /version or a schema; None when there is none."""
        status, headers, text = await self._send("GET", path)
        body = _answer("GET", path, status, text)
        return None if body is None else Document(body, headers.get("Date", ""))

    async def create(self, type_: ResourceType, namespace: str, body: Json) -> Json:
        """Create an object.

        Raises:
            Conflict: An object of that name exists already.
        """
        return self._found(await self._request("POST", type_.path(namespace), body=body), type_, namespace)

    async def apply(self, type_: ResourceType, namespace: str, name: str, body: Json, *, force: bool) -> Json:
        """Apply the fields of `body` server-side, as field manager `replay-operator`.

        Args:
            type_: What to write.
            namespace: Where.
            name: Which object.
            body: Only the fields that we own.
            force: Take the fields over from other managers.

        Raises:
            Conflict: Another manager owns a field and `force` is off.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        path = type_.path(namespace, name)
        return self._found(
            await self._request("PATCH", path, body=body, query=query, content_type=_APPLY_PATCH), type_, name
        )

    async def replace(self, type_: ResourceType, namespace: str, name: str, body: Json) -> Json:
        """Replace an object, provided that it is still the version that `body` names.

        Args:
            type_: What to write.
            namespace: Where.
            name: Which object.
            body: The whole object. Its `metadata.resourceVersion` is the guard: without one, the write goes
                over whatever is there.

        Raises:
            Conflict: The object has changed or gone since that version.
        """
        answer = await self._request("PUT", type_.path(namespace, name), body=body)
        return self._found(answer, type_, name)

    async def patch_status(self, type_: ResourceType, namespace: str, name: str, body: Json) -> Json | None:
        """Merge into the status subresource; None when the object is gone.

        Args:
            type_: Whose status.
            namespace: Where.
            name: Which object.
            body: `{"metadata": {"resourceVersion": ...}, "status": {...}}`; the version keeps a write from
                an object that has changed meanwhile, and from a namesake. A uid does not: it is ignored.

        Raises:
            Conflict: The object is no longer that version.
        """
        path = type_.path(namespace, name) + "/status"
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", path, body=body, query=query, content_type=_MERGE_PATCH)

    async def patch(self, type_: ResourceType, namespace: str, name: str, body: Json) -> Json | None:
        """Merge into an object (RFC 7386: lists are replaced); None when it is gone.

        Args:
            type_: What to write.
            namespace: Where.
            name: Which object.
            body: What changes. A `metadata.resourceVersion` in it is the guard.

        Raises:
            Conflict: The object is no longer that version.
        """
        path = type_.path(namespace, name)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", path, body=body, query=query, content_type=_MERGE_PATCH)

    async def delete(
        self,
        type_: ResourceType,
        namespace: str,
        name: str,
        *,
        meta: ObjectMeta | None = None,
        dependents_first: bool = False,
    ) -> None:
        """Delete an object and what it owns; one that does not exist is as good.

        Args:
            type_: What to delete.
            namespace: Where.
            name: Which object.
            meta: The object as it was looked at: another version of it, or a namesake, stays.
            dependents_first: It is gone only when what it owns is: a Job after its pods have ended.

        Raises:
            Conflict: The object is no longer the version in `meta`.
        """
        body: Json = {"propagationPolicy": "Foreground" if dependents_first else "Background"}
        if meta is not None:
            body["preconditions"] = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        await self._request("DELETE", type_.path(namespace, name), body=body)

    @staticmethod
    def _found(answer: Json | None, type_: ResourceType, name: str) -> Json:
        if answer is None:
            raise ClusterError(
                404, f"{type_.plural} {name}: the API server does not know the object or its type"
            )
        return answer

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json | None:
        status, _, text = await self._send(method, path, query=query, body=body, content_type=content_type)
        return _answer(method, path, status, text)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> tuple[int, Mapping[str, str], bytes]:
        begun, status = time.monotonic(), 0
        verb, resource = method, resource_of(path)
        method, url, headers, data, form = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._client.call_api(
                method,
                url,
                headers,
                data,
                form,
                _request_timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            )
            text = await response.read()  # type: ignore[no-untyped-call] # the client ships no types
            status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = type(error).__name__
            raise ClusterUnreachable(0, f"{method} {path}: the API server did not answer ({what})") from error
        finally:
            if self._on_call is not None:
                self._on_call(verb, resource, status, time.monotonic() - begun)
        return status, response.headers, text


def _answer(method: str, path: str, code: int, text: bytes) -> Json | None:
    if code == 404:  # noqa: PLR2004 - HTTP
        return None
    answer: Json = {}
    try:
        answer = json.loads(text) if text else {}
    except ValueError:
        answer = {"message": text[:200].decode(errors="replace")}
    if code < 300:  # noqa: PLR2004 - HTTP
        return answer
    message = f"{method} {path}: {answer.get('message') or 'no message'} (HTTP {code})"
    if code == 409:  # noqa: PLR2004 - HTTP
        raise Conflict(code, message, answer)
    if code in (401, 403):
        raise Forbidden(code, message, answer)
    if code == 429 or code >= 500:  # noqa: PLR2004 - HTTP
        raise ClusterUnreachable(code, message, answer)
    raise ClusterError(code, message, answer)

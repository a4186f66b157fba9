"""The Kubernetes API as plain JSON objects: requests by path, and watches that survive disconnects."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import aiohttp
from kubernetes.aio import client, config

Json = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"

_log = logging.getLogger(__name__)
_ERRORS = 400
_REQUEST_SECONDS = 30.0
_RETRY_FOR_SECONDS = 60.0
_RELIST_SECONDS = 0.5
_PASSING = (429, 500, 502, 503, 504)
_USER_AGENT = "node-stand-in"


class ApiError(Exception):
    """The API server refused a request.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, method: str, path: str, message: str) -> None:
        super().__init__(f"{method} {path}: HTTP {status}: {message}")
        self.status = status


class KubernetesApi:
    """One connection pool to one API server."""

    def __init__(self, api_client: client.ApiClient) -> None:
        self._client = cast("Any", api_client)  # the client has no annotations
        self._url = str(self._client.configuration.host).rstrip("/")

    @classmethod
    async def connect(cls, kubeconfig: Path) -> "KubernetesApi":
        """Reads the kubeconfig; nothing is sent yet.

        Args:
            kubeconfig: a file whose current context is an administrator.
        """
        settings = client.Configuration()
        load = cast("Any", config.load_kube_config)  # the client has no annotations here
        await load(str(kubeconfig), client_configuration=settings, persist_config=False)
        # A proxy from the environment must never sit between a test and its own API server.
        settings.client_session_kwargs = {"trust_env": False}
        return cls(client.ApiClient(configuration=settings))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the API server."""
        parts = urlsplit(self._url)
        return parts.hostname or "", parts.port or 443

    async def close(self) -> None:
        """Closes the pool."""
        await self._client.close()

    async def _send(
        self, method: str, path: str, body: Json | None, content_type: str, seconds: float | None
    ) -> aiohttp.ClientResponse:
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": _USER_AGENT}
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_REQUEST_SECONDS)
        answer = await self._client.rest_client.request(
            method, self._url + path, headers=headers, body=body, _request_timeout=timeout
        )
        response: aiohttp.ClientResponse = answer.response
        if response.status >= _ERRORS:
            text = await response.text()
            raise ApiError(response.status, method, path, text[:1000])
        return response

    async def request(
        self, method: str, path: str, body: Json | None = None, content_type: str = "application/json"
    ) -> Json:
        """Sends one request and returns the answer's object.

        A server that is away or overloaded is asked again for a while: tests restart it on purpose, and all
        our writes may be repeated.

        Raises:
            ApiError: any status from 400 on.
        """
        deadline = time.monotonic() + _RETRY_FOR_SECONDS
        while True:
            try:
                async with await self._send(method, path, body, content_type, _REQUEST_SECONDS) as response:
                    answer: Json = await response.json(content_type=None)
                    return answer
            except (aiohttp.ClientError, TimeoutError, ApiError) as error:
                lasting = isinstance(error, ApiError) and error.status not in _PASSING
                if lasting or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_RELIST_SECONDS)

    async def get(self, path: str) -> Json | None:
        """The object at the path, or None when there is none."""
        try:
            return await self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def watch(self, path: str, **query: str) -> AsyncIterator[tuple[str, Json]]:
        """Endless changes of a collection, as (ADDED | MODIFIED | DELETED, object).

        It lists first, then watches; after a broken watch it lists again and yields DELETED for what went
        away unseen. So a consumer that acts on the latest object needs no other source.

        Args:
            path: of the collection, for example `/api/v1/pods`.
            query: selectors, for example `fieldSelector`.
        """
        known: dict[str, Json] = {}
        while True:
            try:
                async for change, item in self._list_then_watch(path, query, known):
                    yield change, item
            except (aiohttp.ClientError, TimeoutError, ApiError) as error:
                _log.info("watch of %s ended: %s; listing again", path, error)
            await asyncio.sleep(_RELIST_SECONDS)

    async def _list_then_watch(
        self, path: str, query: Mapping[str, str], known: dict[str, Json]
    ) -> AsyncIterator[tuple[str, Json]]:
        listing = await self.request("GET", f"{path}?{urlencode(query)}")
        present = {item["metadata"]["uid"]: item for item in listing["items"]}
        for uid in [uid for uid in known if uid not in present]:
            yield "DELETED", known.pop(uid)
        for uid, item in present.items():
            change = "MODIFIED" if uid in known else "ADDED"
            known[uid] = item
            yield change, item
        version = listing["metadata"]["resourceVersion"]
        async for change, item in self._watch_from(path, query, version):
            if change == "DELETED":
                known.pop(item["metadata"]["uid"], None)
            else:
                known[item["metadata"]["uid"]] = item
            yield change, item

    async def _watch_from(
        self, path: str, query: Mapping[str, str], version: str
    ) -> AsyncIterator[tuple[str, Json]]:
        options = {**query, "watch": "true", "resourceVersion": version}
        url = f"{path}?{urlencode(options)}"
        async with await self._send("GET", url, None, "application/json", None) as response:
            async for line in response.content:
                event: Json = json.loads(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(int(status.get("code", 500)), "WATCH", path, status.get("message", ""))
                yield event["type"], event["object"]

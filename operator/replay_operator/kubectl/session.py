"""The cluster that the user's flags and kubeconfig name."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from replay_operator.cluster.gateway import Json, KubernetesGateway
from replay_operator.cluster.kubeconfig import DEFAULT_NAMESPACE
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.kubectl.errors import NotFound, PluginError

T = TypeVar("T")

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(slots=True)
class ClusterFlags:
    """The flags that choose a cluster. They may stand before and after the subcommand; the later counts."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to one namespace. `client` is for streams; all else goes through `gateway`."""

    gateway: KubernetesGateway
    client: ApiClient
    namespace: str

    async def get(self, type_: ResourceType, name: str) -> Json:
        """Read one object.

        Raises:
            NotFound: There is none of that name.
        """
        found = await self.gateway.get(type_, self.namespace, name)
        if found is None:
            raise NotFound(full_name(type_), name)
        return found

    async def buffer(self, name: str) -> Json:
        """Read one ReplayBuffer."""
        return await self.get(BUFFERS, name)

    async def capture(self, name: str) -> Json:
        """Read one ReplayCapture."""
        return await self.get(CAPTURES, name)


def full_name(type_: ResourceType) -> str:
    """Give a kind's plural as the API server writes it, such as replaybuffers.replaybuffer.dev."""
    return f"{type_.plural}.{type_.group}" if type_.group else type_.plural


def in_cluster(work: Callable[[Session], Awaitable[T]]) -> T:
    """Connect as the flags of the current command say, and do something there.

    Args:
        work: What to do.

    Raises:
        PluginError: The kubeconfig names no cluster, or not that context.
    """
    flags = click.get_current_context().find_object(ClusterFlags) or ClusterFlags()

    async def connected() -> T:
        async with connect(flags) as session:
            return await work(session)

    return asyncio.run(connected())


@asynccontextmanager
async def connect(flags: ClusterFlags) -> AsyncIterator[Session]:
    """Connect; the session ends with the block.

    Args:
        flags: Which cluster and namespace.

    Raises:
        PluginError: The kubeconfig names no cluster, or not that context.
    """
    configuration = Configuration()
    configuration.retries = None
    file = str(flags.kubeconfig) if flags.kubeconfig else None
    try:
        if _inside_a_pod(flags):
            load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the client ships no types
            chosen = await asyncio.to_thread(_POD_NAMESPACE.read_text, encoding="utf-8")
        else:
            chosen = _namespace(file, flags.context)
            await load_kube_config(  # type: ignore[no-untyped-call] # the client ships no types
                config_file=file,
                context=flags.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, OSError) as error:
        raise PluginError(f"the kubeconfig cannot be used: {error}") from error
    client = ApiClient(configuration)
    try:
        yield Session(KubernetesGateway(client), client, flags.namespace or chosen.strip())
    finally:
        await client.close()  # type: ignore[no-untyped-call] # the client ships no types


def _inside_a_pod(flags: ClusterFlags) -> bool:
    named = flags.kubeconfig or flags.context or os.environ.get("KUBECONFIG")
    return not named and "KUBERNETES_SERVICE_HOST" in os.environ and _POD_NAMESPACE.exists()


def _namespace(file: str | None, context: str | None) -> str:
    contexts, current = list_kube_config_contexts(config_file=file)  # type: ignore[no-untyped-call] # as above
    if context is not None:
        current = next((each for each in contexts if each["name"] == context), None)
        if current is None:
            raise PluginError(f'context "{context}" does not exist')
    return str((current or {}).get("context", {}).get("namespace") or DEFAULT_NAMESPACE)

"""Follows the pods of the node and keeps one life for each."""

import asyncio
import logging

from tests.testbed.node.addresses import AddressPool
from tests.testbed.node.api import STRATEGIC_PATCH, ApiError, Json
from tests.testbed.node.container_life import ContainerLife
from tests.testbed.node.containers import ContainerProcess
from tests.testbed.node.logs import LogSource
from tests.testbed.node.node import NODE_NAME
from tests.testbed.node.pods import PodLife, PodSurroundings

_log = logging.getLogger(__name__)
_ENDED = ("Succeeded", "Failed")
_GONE = 404


class Kubelet:
    """The pods of one node. Not thread safe: use it on its event loop."""

    def __init__(self, surroundings: PodSurroundings) -> None:
        self._around = surroundings
        self._addresses = AddressPool()
        self._lives: dict[str, PodLife] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Plays the pods until it is cancelled."""
        async for change, pod in self._around.api.watch(
            "/api/v1/pods", fieldSelector=f"spec.nodeName={NODE_NAME}"
        ):
            uid = pod["metadata"]["uid"]
            if change == "DELETED":
                self._around.hosts.pod_gone(uid)
                if uid in self._lives:
                    self._lives[uid].abandon()
                continue
            self._around.hosts.pod_changed(pod)
            if uid in self._lives:
                self._pass_on_deletion(pod)
            elif "deletionTimestamp" in pod["metadata"]:
                await self._let_go(pod)
            elif "startTime" in pod.get("status", {}):
                await self._declare_lost(pod)
            else:
                self._begin(pod)

    async def stop(self) -> None:
        """Ends every process at once. The pods' objects stay as they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(life.kill() for life in self._lives.values()))

    def find_log(self, namespace: str, pod: str, container: str, previous: bool) -> LogSource:
        """The log of a container.

        Raises:
            KeyError: there is no such pod or container on this node.
        """
        life = self._life(namespace, pod)
        kept = life.containers[container]
        return LogSource(life.log_path(container, previous=previous), lambda: kept.alive and not previous)

    def process(self, namespace: str, pod: str, container: str) -> ContainerProcess:
        """The running process of a container.

        Raises:
            LookupError: there is no such container on this node, or it does not run now.
        """
        life: ContainerLife = self._life(namespace, pod).containers[container]
        if life.process is None or not life.alive:
            raise LookupError(f"container {container} of pod {namespace}/{pod} does not run now")
        return life.process

    def _life(self, namespace: str, pod: str) -> PodLife:
        # The latest one: a StatefulSet's pod may come back under its name while the old one is removed.
        for life in reversed(self._lives.values()):
            if life.key == (namespace, pod):
                return life
        raise KeyError(f"pod {namespace}/{pod} is not on node {NODE_NAME}")

    def _begin(self, pod: Json) -> None:
        address = self._addresses.take()
        life = PodLife(pod, address, self._around)
        self._lives[life.uid] = life
        self._tasks[life.uid] = asyncio.create_task(
            self._live(life, address), name=f"pod {'/'.join(life.key)}"
        )

    async def _live(self, life: PodLife, address: str) -> None:
        try:
            await life.run()
        except Exception:  # noqa: BLE001 - one pod's failure must not end the node; it is logged in full
            _log.exception("pod %s/%s failed in the node stand-in", *life.key)
            await life.kill()
            return
        await life.remove()
        self._addresses.give_back(address)
        del self._lives[life.uid], self._tasks[life.uid]

    def _pass_on_deletion(self, pod: Json) -> None:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            self._lives[metadata["uid"]].stop(metadata.get("deletionGracePeriodSeconds", 0))

    async def _let_go(self, pod: Json) -> None:
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self._request("DELETE", _path(pod), body)

    async def _declare_lost(self, pod: Json) -> None:
        """An earlier stand-in ran it. Its processes are gone, as after a node's restart."""
        if pod["status"].get("phase") in _ENDED:
            return
        status = {"phase": "Failed", "reason": "NodeShutdown", "message": "the node stand-in was restarted"}
        await self._request("PATCH", f"{_path(pod)}/status", {"status": status})

    async def _request(self, method: str, path: str, body: Json) -> None:
        content_type = STRATEGIC_PATCH if method == "PATCH" else "application/json"
        try:
            await self._around.api.request(method, path, body, content_type)
        except ApiError as error:
            if error.status != _GONE:
                raise


def _path(pod: Json) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"

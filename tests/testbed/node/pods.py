"""One pod from the moment it is bound to the node until its object is gone."""

import asyncio
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.node.api import STRATEGIC_PATCH, ApiError, Json, KubernetesApi
from tests.testbed.node.container_life import ContainerLife
from tests.testbed.node.containers import (
    DEFAULT_PATH,
    Bind,
    ContainerPlan,
    container_argv,
    container_credentials,
)
from tests.testbed.node.environment import container_environment, referenced_sources
from tests.testbed.node.errors import ContainerWaitingError
from tests.testbed.node.images import Image, find_image
from tests.testbed.node.isolation import Isolation
from tests.testbed.node.services import HostsFiles, HostsOwner
from tests.testbed.node.sources import read_sources
from tests.testbed.node.status import PodVerdict, pod_status
from tests.testbed.node.stopping import StopOrder
from tests.testbed.node.volumes import VolumeMaker, bind_mounts

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_DEFAULT_GRACE_SECONDS = 30
_REPLACED = (404, 409)  # the pod went away or is another one by now


@dataclass(frozen=True)
class PodSurroundings:
    """What all pods of the node share."""

    api: KubernetesApi
    images: Mapping[str, Image]
    isolation: Isolation
    hosts: HostsFiles
    pods_directory: Path


class PodLife:
    """Runs the containers of one pod and reports its status.

    Attributes:
        uid: of the pod.
        key: namespace and name.
        containers: init containers and containers by name.
    """

    def __init__(self, pod: Json, pod_ip: str, surroundings: PodSurroundings) -> None:
        self._pod = {**pod, "status": {**pod.get("status", {}), "podIP": pod_ip, "hostIP": "127.0.0.1"}}
        metadata, spec = pod["metadata"], pod["spec"]
        self.uid: str = metadata["uid"]
        self.key: tuple[str, str] = (metadata["namespace"], metadata["name"])
        self._pod_ip = pod_ip
        self._around = surroundings
        self._directory: Path = surroundings.pods_directory / self.uid
        self._started_at = time.time()
        self._stop = StopOrder()
        self._deletion = asyncio.Event()
        self._gone = False
        self._ended = False
        self._verdict: PodVerdict | None = None
        self._volumes: dict[str, Path] = {}
        self._reported: Json = {}
        self._changed = asyncio.Event()
        self._inits = [self._life_of(item, init=True) for item in spec.get("initContainers", [])]
        self._mains = [self._life_of(item, init=False) for item in spec["containers"]]
        self.containers = {life.record.name: life for life in (*self._inits, *self._mains)}

    def _life_of(self, container: Json, *, init: bool) -> ContainerLife:
        spec = self._pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        if init and policy == "Always":
            policy = "OnFailure"

        async def plan(attempt: int) -> ContainerPlan:
            return await self._plan(container, attempt)

        return ContainerLife(
            container,
            pod_ip=self._pod_ip,
            restart_policy=policy,
            grace_seconds=spec.get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS),
            isolation=self._around.isolation,
            plan=plan,
            stop=self._stop,
            changed=self._changed.set,
        )

    def log_path(self, container: str, *, previous: bool) -> Path:
        """The log of the container's latest start, or of the one before."""
        attempt = self.containers[container].record.restart_count - int(previous)
        return self._container_directory(container) / f"{attempt}.log"

    def stop(self, grace_seconds: float) -> None:
        """The object is being deleted: ends the containers, then lets the object go."""
        self._stop.give(grace_seconds)
        self._deletion.set()

    def abandon(self) -> None:
        """The object is gone: ends the containers at once."""
        self._gone = True
        self.stop(0)

    async def run(self) -> None:
        """Returns when no process is left and, for a deleted pod, the object is gone."""
        reporting = asyncio.create_task(self._report_changes())
        deadline = asyncio.create_task(self._keep_deadline())
        try:
            await self._run_containers()
            # Never cancelled on the way: a patch that was cut off may still arrive, and later than the last.
            self._ended = True
            self._changed.set()
            await reporting
        finally:
            for task in (deadline, reporting):
                task.cancel()
            await asyncio.gather(deadline, reporting, return_exceptions=True)
        await self._deletion.wait()
        if not self._gone:
            await self._release()

    async def remove(self) -> None:
        """Removes the pod's directory after its object has gone."""
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def kill(self) -> None:
        """Ends all processes of the pod and waits for their end."""
        for process in [life.process for life in self.containers.values() if life.process]:
            process.kill()
            await asyncio.wait({process.ended})

    async def _run_containers(self) -> None:
        self._prepare_hosts()
        await self._prepare_volumes()
        for life in self._inits:
            await life.run()
            if life.record.exit_code != 0:
                break
        else:
            await asyncio.gather(*(life.run() for life in self._mains))

    def _prepare_hosts(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        namespace, name = self.key
        hostname = self._pod["spec"].get("hostname", name)
        self._around.hosts.add(self.uid, HostsOwner(namespace, hostname, self._pod_ip, self._hosts_file))

    @property
    def _hosts_file(self) -> Path:
        return self._directory / "hosts"

    def _container_directory(self, container: str) -> Path:
        return self._directory / "containers" / container

    async def _prepare_volumes(self) -> None:
        maker = VolumeMaker(self._around.api, self._pod, self._directory / "volumes")
        while not self._stop.is_given():
            try:
                self._volumes = await maker.make_all()
            except (ContainerWaitingError, ApiError) as error:
                for life in self.containers.values():
                    life.record.waiting("ContainerCreating", str(error))
                self._changed.set()
                await self._stop.pause(_RETRY_SECONDS)
            else:
                return

    async def _plan(self, container: Json, attempt: int) -> ContainerPlan:
        if container.get("restartPolicy"):
            message = "the node stand-in does not play native sidecars (restartPolicy of an init container)"
            raise ContainerWaitingError("CreateContainerConfigError", message)
        image = find_image(container["image"], self._around.images)
        credentials = container_credentials(self._pod, container, image)
        sources = await read_sources(self._around.api, self.key[0], referenced_sources(container))
        environment = container_environment(self._pod, container, self._base_environment(image), sources)
        context = container.get("securityContext", {})
        directory = self._container_directory(container["name"])
        message_path = container.get("terminationMessagePath", "/dev/termination-log")
        message_file = directory / f"{attempt}.termination"
        return ContainerPlan(
            name=container["name"],
            hostname=self._pod["spec"].get("hostname", self.key[1]),
            argv=container_argv(container, image, environment),
            env=environment,
            credentials=credentials,
            image_directories=image.directories,
            image_owner=(image.uid, image.gid),
            working_directory=container.get("workingDir", "/"),
            binds=(
                *bind_mounts(container, self._volumes, environment),
                Bind(self._hosts_file, "/etc/hosts", read_only=True),
                Bind(message_file, message_path, read_only=False),
            ),
            read_only_root=bool(context.get("readOnlyRootFilesystem")),
            no_new_privileges=context.get("allowPrivilegeEscalation") is False,
            directory=directory,
            attempt=attempt,
            message_from_log=container.get("terminationMessagePolicy") == "FallbackToLogsOnError",
        )

    def _base_environment(self, image: Image) -> dict[str, str]:
        host, port = self._around.api.address
        return {
            "PATH": DEFAULT_PATH,
            "HOME": "/",
            "HOSTNAME": self._pod["spec"].get("hostname", self.key[1]),
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": str(port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(port),
            **image.env,
        }

    async def _keep_deadline(self) -> None:
        seconds = self._pod["spec"].get("activeDeadlineSeconds")
        if seconds is None:
            return
        await asyncio.sleep(seconds)
        message = "Pod was active on the node longer than the specified deadline"
        self._verdict = PodVerdict("Failed", "DeadlineExceeded", message)
        self._stop.give(self._pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))

    async def _report_changes(self) -> None:
        ended = False
        while not ended:
            await self._changed.wait()
            self._changed.clear()
            ended = self._ended
            await self._report()

    async def _report(self) -> None:
        inits = [life.record for life in self._inits]
        containers = [life.record for life in self._mains]
        # The deadline's verdict is told when the containers have ended, not when they are told to.
        ended = not any(life.alive for life in self.containers.values())
        status = pod_status(
            pod_ip=self._pod_ip,
            started_at=self._started_at,
            inits=inits,
            containers=containers,
            verdict=self._verdict if ended else None,
            previous=self._reported.get("conditions", []),
            now=time.time(),
        )
        if status == self._reported or self._gone:
            return
        namespace, name = self.key
        body = {"metadata": {"uid": self.uid}, "status": status}
        try:
            path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
            await self._around.api.request("PATCH", path, body, STRATEGIC_PATCH)
        except ApiError as error:
            if error.status not in _REPLACED:
                raise
            _log.info("status of pod %s/%s not written: %s", namespace, name, error)
        self._reported = status

    async def _release(self) -> None:
        namespace, name = self.key
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        try:
            await self._around.api.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", body)
        except ApiError as error:
            if error.status not in _REPLACED:
                raise

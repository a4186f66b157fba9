"""The node stand-in as tests hold it: synchronous, with an event loop in a thread of its own."""

import asyncio
import logging
import signal as signals
import threading
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.testbed.node.api import KubernetesApi
from tests.testbed.node.exec import exec_routes
from tests.testbed.node.images import Image
from tests.testbed.node.isolation import detect_isolation
from tests.testbed.node.kubelet import Kubelet
from tests.testbed.node.logs import LogServer
from tests.testbed.node.node import keep_heartbeat, register
from tests.testbed.node.pods import PodSurroundings
from tests.testbed.node.provisioner import Provisioner
from tests.testbed.node.services import HostsFiles

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
_CALL_SECONDS = 60.0


class NodeStandIn:
    """One node that runs pods as local processes, with its volumes and its service names.

    All processes end with `stop()`, and also when the process that holds the stand-in is killed: they hang on
    the thread of the event loop.

    Args:
        kubeconfig: of an administrator.
        work_dir: for volumes, logs and pods; it is made if needed and not removed.
        images: what the images of the pods would contain, by repository without registry and tag.
    """

    def __init__(self, kubeconfig: Path, work_dir: Path, images: Mapping[str, Image]) -> None:
        self._kubeconfig = kubeconfig
        self._work_dir = work_dir.resolve()
        self._images = dict(images)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._api: KubernetesApi | None = None
        self._kubelet: Kubelet | None = None
        self._logs: LogServer | None = None
        self._provisioner: Provisioner | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Registers the node and plays its pods from now on."""
        self._work_dir.mkdir(parents=True, exist_ok=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="node stand-in", daemon=True)
        self._thread.start()
        try:
            self._call(self._start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every container at once and waits for their ends. The objects in the cluster stay."""
        if self._loop is None or self._thread is None:
            return
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def volume_path(self, namespace: str, claim: str) -> Path:
        """The directory behind a claim.

        Raises:
            KeyError: the claim has no volume (yet).
        """
        if self._provisioner is None:
            raise KeyError(f"{namespace}/{claim}: the node stand-in is not started")
        return self._provisioner.volume_path(namespace, claim)

    def pid(self, namespace: str, pod: str, container: str) -> int:
        """The process id, on the host, of a container's first process.

        Raises:
            LookupError: the container is not on this node, or does not run now.
        """
        return self._call(self._pid(namespace, pod, container))

    def kill_container(self, namespace: str, pod: str, container: str, signal: int = signals.SIGKILL) -> None:
        """Signals the container's first process and the children in its process group.

        SIGKILL ends all processes of the container. Other signals follow the rules of a first process:
        without a handler it ignores them, as in a real container.

        Raises:
            LookupError: the container is not on this node, or does not run now.
        """
        self._call(self._signal(namespace, pod, container, signal))

    def _call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("the node stand-in is not started")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    async def _start(self) -> None:
        self._api = await KubernetesApi.connect(self._kubeconfig)
        hosts = HostsFiles(self._api)
        self._kubelet = Kubelet(
            PodSurroundings(
                api=self._api,
                images=self._images,
                isolation=await asyncio.to_thread(detect_isolation),
                hosts=hosts,
                pods_directory=self._work_dir / "pods",
            )
        )
        self._provisioner = Provisioner(self._api, self._work_dir / "volumes")
        self._logs = LogServer(self._kubelet.find_log, self._work_dir, exec_routes(self._kubelet.process))
        await self._logs.start()
        await self._provisioner.make_classes()
        await register(self._api, self._logs.port)
        parts = (keep_heartbeat(self._api), hosts.run(), self._provisioner.run(), self._kubelet.run())
        self._tasks = [asyncio.create_task(part) for part in parts]
        for task in self._tasks:
            task.add_done_callback(_log_failure)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        # A part that had failed shows its error here, at the end of the test run at the latest.
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in (self._kubelet, self._logs):
            if part:
                await part.stop()
        if self._api:
            await self._api.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _pid(self, namespace: str, pod: str, container: str) -> int:
        if self._kubelet is None:
            raise LookupError("the node stand-in is not started")
        return self._kubelet.process(namespace, pod, container).pid

    async def _signal(self, namespace: str, pod: str, container: str, number: int) -> None:
        if self._kubelet is None:
            raise LookupError("the node stand-in is not started")
        self._kubelet.process(namespace, pod, container).signal_group(number)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("a part of the node stand-in ended", exc_info=error)

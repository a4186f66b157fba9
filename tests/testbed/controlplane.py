"""A real Kubernetes control plane on the loopback address, without containers and without root."""

import http.client
import json
import shutil
import ssl
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from tests.testbed import components
from tests.testbed.audit import POLICY, audit_log_size, audit_records
from tests.testbed.binaries import ControlPlaneBinaries, control_plane_binaries
from tests.testbed.children import Children
from tests.testbed.components import LOOPBACK, Layout, Ports
from tests.testbed.errors import TestbedError
from tests.testbed.pki import Pki, make_pki
from tests.testbed.ports import free_ports

# Start takes 5 s on two idle cores (measured); on a busy machine it may take many times that.
_READY_TIMEOUT_SECONDS = 120.0
_REQUEST_TIMEOUT_SECONDS = 3.0
_POLL_SECONDS = 0.05


class ControlPlaneError(TestbedError):
    """The control plane did not start, ended by itself, or does not answer."""


class KubectlError(TestbedError):
    """Kubectl failed. `stderr` holds what it said, such as the API server's reason for a refusal."""

    def __init__(self, arguments: tuple[str, ...], exit_code: int, stderr: str) -> None:
        super().__init__(
            f"`kubectl {' '.join(arguments)}` failed with exit code {exit_code}: {stderr.strip()}"
        )
        self.stderr = stderr


class ControlPlane:
    """Starts and ends etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

    No process is left when this one ends, in whatever way. After a SIGKILL the directory stays.

    Args:
        binaries: the programs; found or built at `start` if not given.
        directory: where its files go, a new directory; a temporary one if not given.
        keep_directory: leave the files, logs among them, when it stops.
    """

    def __init__(
        self,
        binaries: ControlPlaneBinaries | None = None,
        *,
        directory: Path | None = None,
        keep_directory: bool = False,
    ) -> None:
        self._binaries = binaries
        self._keep_directory = keep_directory
        self.directory = directory or Path(tempfile.mkdtemp(prefix="replay-testbed-"))
        self._layout = Layout(self.directory)
        self._children = Children(self._layout.processes)
        self._tls: ssl.SSLContext | None = None
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of an administrator, whose name in the audit log is `admin`."""
        return self._layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        """Every request since the start, one JSON object a line; see `tests.testbed.audit`."""
        return self._layout.audit_log

    @property
    def url(self) -> str:
        """The API server's."""
        return f"https://{LOOPBACK}:{self._port}"

    @property
    def pki(self) -> Pki:
        """Its keys and certificates."""
        return Pki(self.directory / "pki")

    @property
    def pids(self) -> Mapping[str, int]:
        """The process ids of the components, by name."""
        return self._children.pids

    def start(self) -> None:
        """Starts all components and returns when they are ready, after about 5 s.

        Raises:
            ControlPlaneError: a component ended or was not ready in time; with its last words.
            TestbedError: the programs or the certificates cannot be had.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all components and removes the directory. Stopping twice does nothing."""
        self._children.stop()
        if not self._keep_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self, component: str) -> None:
        """Ends a component as a power cut would; what it stored stays.

        Args:
            component: one of the names in `pids`.
        """
        self._children.kill(component)

    def start_again(self, component: str) -> None:
        """Starts a component that was killed, with the same arguments, and waits for the API server.

        Raises:
            ControlPlaneError: the API server was not ready in time.
        """
        self._children.start_again(component)
        self._wait_for("the API server", lambda: self._get("/readyz") == http.HTTPStatus.OK)

    def check(self) -> None:
        """Raises ControlPlaneError if a component has ended by itself."""
        if ended := self._children.ended():
            name = ended[0].split()[0]
            raise ControlPlaneError(
                f"{', '.join(ended)} ended by itself. Last words:\n{self._children.log_tail(name)}"
            )

    def kubectl(self, *arguments: str, input: str | None = None, timeout_seconds: float = 120.0) -> str:  # noqa: A002 - the name that subprocess.run has for it
        """Runs kubectl as administrator.

        Args:
            arguments: its arguments.
            input: what it reads from standard input, for `-f -`.
            timeout_seconds: how long it may take.

        Returns:
            What it wrote to standard output.

        Raises:
            KubectlError: it failed.
        """
        if self._binaries is None:
            raise ControlPlaneError("The control plane has not been started: call start() first")
        common = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.directory / 'kubectl-cache'}")
        done = subprocess.run(
            [self._binaries.kubectl, *common, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(arguments, done.returncode, done.stderr)
        return done.stdout

    def flush_audit_log(self) -> None:
        """Returns when all requests answered before this call are in the audit log.

        It asks for something with a mark in its address and waits until that is in the log.
        """
        offset, mark = audit_log_size(self.audit_log), uuid.uuid4().hex
        self._get(f"/version?mark={mark}")
        self._wait_for(
            "the audit log",
            lambda: any(
                mark in record.request_uri for record in audit_records(self.audit_log, offset=offset)
            ),
        )

    def _start(self) -> None:
        binaries = self._binaries = self._binaries or control_plane_binaries()
        layout, ports = self._layout, Ports(*free_ports(5))
        pki = make_pki(self.pki.directory)
        self._port = ports.apiserver
        self._tls = ssl.create_default_context(cafile=str(pki.ca.certificate))
        self._tls.load_cert_chain(pki.pair("admin").certificate, pki.pair("admin").key)
        pki.write_kubeconfig(layout.kubeconfig, server=self.url, user="admin")
        for component in ("controller-manager", "scheduler"):
            pki.write_kubeconfig(layout.component_kubeconfig(component), server=self.url, user=component)
        layout.audit_policy.write_text(json.dumps(POLICY))

        self._children.start("etcd", components.etcd(binaries, layout, ports))
        self._children.start("kube-apiserver", components.apiserver(binaries, layout, ports, pki))
        self._wait_for("the API server", lambda: self._get("/readyz") == http.HTTPStatus.OK)
        self._children.start(
            "kube-controller-manager", components.controller_manager(binaries, layout, ports, pki)
        )
        self._children.start("kube-scheduler", components.scheduler(binaries, layout, ports, pki))
        # A namespace without a service account refuses pods. Only a working controller manager makes one.
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait_for("the controller manager", lambda: self._get(account) == http.HTTPStatus.OK)
        self._wait_for(
            "the scheduler", lambda: self._get("/healthz", port=ports.scheduler) == http.HTTPStatus.OK
        )

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise ControlPlaneError(
                    f"{what} was not ready within {_READY_TIMEOUT_SECONDS:.0f} s. The logs stay in "
                    f"{self._layout.processes} when the plane is made with keep_directory=True"
                )
            time.sleep(_POLL_SECONDS)

    def _get(self, path: str, *, port: int | None = None) -> int:
        """The HTTP status of a request as administrator; 0 if nothing answers."""
        connection = http.client.HTTPSConnection(
            LOOPBACK, port or self._port, context=self._tls, timeout=_REQUEST_TIMEOUT_SECONDS
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return response.status
        finally:
            connection.close()

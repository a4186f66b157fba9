"""Command lines of the control plane's components. Pure: paths and ports in, arguments out."""

from dataclasses import dataclass
from pathlib import Path

from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.pki import Pki

LOOPBACK = "127.0.0.1"

# With the default of 20 requests a second what a test waits for takes five times as long (measured).
_CLIENT_RATE = ("--kube-api-qps=500", "--kube-api-burst=1000")

# The stand-in's pods have loopback addresses, which the API refuses in endpoints: these controllers would
# retry for ever.
_CONTROLLERS = "*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller"

# The log is cut into several files above this size; a reader of one file would then miss what came before.
_AUDIT_LOG_MAX_MEGABYTES = 8192


@dataclass(frozen=True)
class Ports:
    """TCP ports on the loopback address."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int


@dataclass(frozen=True)
class Layout:
    """Where the files of one control plane are."""

    directory: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.directory / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line."""
        return self.directory / "audit.jsonl"

    @property
    def audit_policy(self) -> Path:
        """What goes into the audit log."""
        return self.directory / "audit-policy.json"

    @property
    def processes(self) -> Path:
        """Logs and process ids."""
        return self.directory / "processes"

    def component_kubeconfig(self, component: str) -> Path:
        """The kubeconfig of `controller-manager` or `scheduler`."""
        return self.directory / f"{component}.kubeconfig"


def etcd(binaries: ControlPlaneBinaries, layout: Layout, ports: Ports) -> list[str]:
    """Etcd, which need not survive a power cut here."""
    client, peer = f"http://{LOOPBACK}:{ports.etcd}", f"http://{LOOPBACK}:{ports.etcd_peer}"
    return [
        str(binaries.etcd),
        "--name=testbed",
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=testbed={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(binaries: ControlPlaneBinaries, layout: Layout, ports: Ports, pki: Pki) -> list[str]:
    """The API server, with RBAC, Pod Security admission (a default of its own) and a complete audit log."""
    serving, kubelet, proxy = pki.pair("apiserver"), pki.pair("kubelet-client"), pki.pair("front-proxy")
    tokens = pki.service_accounts
    return [
        str(binaries.kube_apiserver),
        f"--etcd-servers=http://{LOOPBACK}:{ports.etcd}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.apiserver}",
        "--endpoint-reconciler-type=none",  # it would try to publish the loopback address as an endpoint
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        f"--client-ca-file={pki.ca.certificate}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={tokens.certificate}",
        f"--service-account-signing-key-file={tokens.key}",
        f"--requestheader-client-ca-file={pki.ca.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy.certificate}",
        f"--proxy-client-key-file={proxy.key}",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-mode=blocking",
        f"--audit-log-maxsize={_AUDIT_LOG_MAX_MEGABYTES}",
    ]


def controller_manager(binaries: ControlPlaneBinaries, layout: Layout, ports: Ports, pki: Pki) -> list[str]:
    """The controller manager, made quick: what a cluster does in minutes a test wants in seconds."""
    return [
        str(binaries.kube_controller_manager),
        *_component("controller-manager", layout, ports.controller_manager, pki),
        *_CLIENT_RATE,
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki.service_accounts.key}",
        f"--root-ca-file={pki.ca.certificate}",
        f"--cluster-signing-cert-file={pki.ca.certificate}",
        f"--cluster-signing-key-file={pki.ca.key}",
        f"--controllers={_CONTROLLERS}",
        f"--flex-volume-plugin-dir={layout.directory / 'flex'}",  # else it makes one in /usr
        "--pvclaimbinder-sync-period=2s",
        "--horizontal-pod-autoscaler-sync-period=2s",
        "--horizontal-pod-autoscaler-downscale-stabilization=5s",
        "--horizontal-pod-autoscaler-cpu-initialization-period=2s",
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s",
    ]


def scheduler(binaries: ControlPlaneBinaries, layout: Layout, ports: Ports, pki: Pki) -> list[str]:
    """The scheduler."""
    return [
        str(binaries.kube_scheduler),
        *_component("scheduler", layout, ports.scheduler, pki),
        *_CLIENT_RATE,
    ]


def _component(name: str, layout: Layout, port: int, pki: Pki) -> list[str]:
    kubeconfig, serving = layout.component_kubeconfig(name), pki.pair("apiserver")
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--leader-elect=false",
    ]

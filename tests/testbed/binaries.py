"""Finds the programs that the test bed runs, or builds them."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.build_cache import Report, built_once, cache_directory, key_of_files, print_report
from tests.testbed.errors import TestbedError
from tests.testbed.go_toolchain import run_go
from tests.testbed.kubernetes_version import kubernetes_version, module_for, wanted_version

LIVEKIT_SERVER_VERSION = "v1.13.5"
HELM_VERSION = "v3.22.0"
S3_SERVER_VERSION = "v1.8.0"

_GO_MODULE = Path(__file__).parent / "controlplane"
_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")

BuildWithGo = Callable[[Path], None]
"""Fills a directory with programs."""


class BinariesError(TestbedError):
    """A program of the test bed is not where the environment says."""


@dataclass(frozen=True)
class ControlPlaneBinaries:
    """The programs of a Kubernetes control plane."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path


def control_plane_binaries(
    *,
    environment: Mapping[str, str] = os.environ,
    report: Report = print_report,
    build: BuildWithGo | None = None,
) -> ControlPlaneBinaries:
    """Finds the control plane: in `KUBEBUILDER_ASSETS`, else in the cache, else builds it (minutes).

    Args:
        environment: `KUBEBUILDER_ASSETS`, `KUBERNETES_VERSION` for another release than that of `go.mod`, and
            the variables of `cache_directory`.
        report: receives lines of progress.
        build: how to build it; with Go if not given.

    Raises:
        KubernetesVersionError: `KUBERNETES_VERSION` is no release.
        BinariesError: `KUBEBUILDER_ASSETS` names a directory without etcd or kube-apiserver.
        GoError: it must be built and cannot be.
    """
    paths = _installed(environment)
    missing = [program for program in _PROGRAMS if program not in paths]
    if missing:
        go_mod = (_GO_MODULE / "go.mod").read_text()
        version = wanted_version(environment, go_mod)
        files = key_of_files([_GO_MODULE / name for name in ("go.mod", "go.sum", "main.go")])
        # The release of go.mod is in the key of the files already.
        key = files if version == kubernetes_version(go_mod) else f"{version}-{files}"
        how = build or (lambda target: _build_control_plane(target, version, environment, report))
        built = built_once(cache_directory(environment), "controlplane", key, how, report=report)
        paths |= {program: built / program for program in missing}
    return ControlPlaneBinaries(
        etcd=paths["etcd"],
        kube_apiserver=paths["kube-apiserver"],
        kube_controller_manager=paths["kube-controller-manager"],
        kube_scheduler=paths["kube-scheduler"],
        kubectl=paths["kubectl"],
    )


def livekit_server_version(environment: Mapping[str, str]) -> str:
    """Gives the release of livekit-server to run, as `v1.13.5`.

    Args:
        environment: `LIVEKIT_SERVER_VERSION` names another one than the usual.
    """
    return environment.get("LIVEKIT_SERVER_VERSION") or LIVEKIT_SERVER_VERSION


def livekit_server_binary(
    *,
    environment: Mapping[str, str] = os.environ,
    report: Report = print_report,
    build: BuildWithGo | None = None,
) -> Path:
    """Finds livekit-server in the cache, else builds it (minutes).

    Args:
        environment: `LIVEKIT_SERVER_VERSION` for another release than the usual, and the variables of
            `cache_directory`.
        report: receives lines of progress.
        build: how to build it; with Go if not given.

    Raises:
        GoError: it must be built and cannot be.
    """
    version = livekit_server_version(environment)
    how = build or (lambda target: _build_livekit_server(target, version, environment, report))
    cache = cache_directory(environment)
    return built_once(cache, "livekit-server", version, how, report=report) / "livekit-server"


def helm_binary(
    *,
    environment: Mapping[str, str] = os.environ,
    report: Report = print_report,
    build: BuildWithGo | None = None,
) -> Path:
    """Finds helm in the cache, else builds it (minutes).

    Args:
        environment: the variables of `cache_directory`.
        report: receives lines of progress.
        build: how to build it; with Go if not given.

    Raises:
        GoError: it must be built and cannot be.
    """
    package = f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"
    how = build or (lambda target: _install("helm", package, target, environment, report))
    return built_once(cache_directory(environment), "helm", HELM_VERSION, how, report=report) / "helm"


def s3_server_binary(
    *,
    environment: Mapping[str, str] = os.environ,
    report: Report = print_report,
    build: BuildWithGo | None = None,
) -> Path:
    """Finds versitygw, an S3 server over a directory, in the cache, else builds it (minutes).

    Args:
        environment: the variables of `cache_directory`.
        report: receives lines of progress.
        build: how to build it; with Go if not given.

    Raises:
        GoError: it must be built and cannot be.
    """
    package = f"github.com/versity/versitygw/cmd/versitygw@{S3_SERVER_VERSION}"
    how = build or (lambda target: _install("versitygw", package, target, environment, report))
    cache = cache_directory(environment)
    return built_once(cache, "versitygw", S3_SERVER_VERSION, how, report=report) / "versitygw"


def _installed(environment: Mapping[str, str]) -> dict[str, Path]:
    if not (assets := environment.get("KUBEBUILDER_ASSETS")):
        return {}
    found = {program: Path(assets) / program for program in _PROGRAMS if (Path(assets) / program).is_file()}
    # The usual asset archives hold neither controller manager nor scheduler: those come from our own build.
    if absent := {"etcd", "kube-apiserver"} - found.keys():
        raise BinariesError(
            f"KUBEBUILDER_ASSETS={assets} holds no {' and no '.join(sorted(absent))}. "
            "Point it at a directory that does, or unset it to have them built."
        )
    return found


def _build_control_plane(target: Path, version: str, environment: Mapping[str, str], report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="replay-testbed-module-") as directory:
        environment = {**environment, "CGO_ENABLED": "0"}
        module = module_for(
            _GO_MODULE, version, Path(directory) / "controlplane", environment=environment, report=report
        )
        run_go(
            f"control plane {version}",
            [
                "build",
                "-v",
                "-mod=readonly",
                "-buildvcs=false",
                "-trimpath",
                "-ldflags",
                " ".join(_linker_flags(version)),
                "-o",
                str(target / "controlplane"),
                ".",
            ],
            cwd=module,
            environment=environment,
            report=report,
        )
    for program in _PROGRAMS:
        (target / program).symlink_to("controlplane")


def _linker_flags(version: str) -> Sequence[str]:
    """Makes the programs say which version they are: charts and clients decide by it."""
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return [
        "-s",
        "-w",
        *(f"-X {package}.{name}={value}" for package in packages for name, value in values.items()),
    ]


def _build_livekit_server(target: Path, version: str, environment: Mapping[str, str], report: Report) -> None:
    run_go(
        "livekit-server",
        ["install", "-v", f"github.com/livekit/livekit-server/cmd/server@{version}"],
        cwd=target,
        environment={**environment, "GOBIN": str(target)},
        report=report,
    )
    (target / "server").rename(target / "livekit-server")


def _install(
    program: str, package: str, target: Path, environment: Mapping[str, str], report: Report
) -> None:
    """Builds a program that is named as its package, at a version: `path/of/package@version`."""
    run_go(
        program,
        ["install", "-v", "-trimpath", package],
        cwd=target,
        environment={**environment, "GOBIN": str(target), "CGO_ENABLED": "0"},
        report=report,
    )

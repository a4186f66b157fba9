"""The control plane's Go module, moved to another release of Kubernetes."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.testbed.build_cache import Report
from tests.testbed.errors import TestbedError
from tests.testbed.go_toolchain import run_go

VARIABLE = "KUBERNETES_VERSION"
"""Names another release than the one of `go.mod`, as `1.34.4`."""

_RELEASE = re.compile(r"v?1\.(\d+)\.(\d+)")


class KubernetesVersionError(TestbedError):
    """The version that was asked for is no release of Kubernetes."""


def kubernetes_version(go_mod: str) -> str:
    """Gives the release that a `go.mod` builds, as `v1.35.8`.

    Raises:
        KubernetesVersionError: it names none.
    """
    match = re.search(r"k8s\.io/kubernetes (v\d+\.\d+\.\d+)$", go_mod, flags=re.MULTILINE)
    if match is None:
        raise KubernetesVersionError(
            "tests/testbed/controlplane/go.mod requires no release of k8s.io/kubernetes"
        )
    return match[1]


def wanted_version(environment: Mapping[str, str], go_mod: str) -> str:
    """Gives the release to run: that of `KUBERNETES_VERSION`, else that of `go.mod`.

    Raises:
        KubernetesVersionError: the variable holds something else than a release.
    """
    asked = environment.get(VARIABLE) or kubernetes_version(go_mod)
    match = _RELEASE.fullmatch(asked)
    if match is None:
        raise KubernetesVersionError(f"{VARIABLE}={asked} is no release of Kubernetes: write it as 1.34.4")
    return f"v1.{match[1]}.{match[2]}"


def moved(go_mod: str, version: str) -> str:
    """Gives the text of `go.mod` for another release; what it needs indirectly is for `go mod tidy` to find.

    Kubernetes numbers its parts k8s.io/... v0.Y.Z where it is v1.Y.Z itself.

    Args:
        go_mod: The text for the release that it was written for.
        version: The wanted one, as `v1.34.4`.
    """
    present = kubernetes_version(go_mod)
    text = go_mod.replace(present, version).replace(f"v0{present[2:]}", f"v0{version[2:]}")
    return "".join(line for line in text.splitlines(keepends=True) if not line.endswith("// indirect\n"))


def module_for(
    module: Path, version: str, copy: Path, *, environment: Mapping[str, str], report: Report
) -> Path:
    """Gives a module that builds a release: the one of the tree, or a copy of it that has been moved.

    Args:
        module: The directory of the module in the tree.
        version: The wanted release, as `v1.34.4`.
        copy: Where a copy goes; it is not there yet.
        environment: For Go.
        report: Receives lines of progress.

    Raises:
        GoError: Go does not find the release.
    """
    go_mod = (module / "go.mod").read_text()
    if kubernetes_version(go_mod) == version:
        return module
    copy.mkdir()
    shutil.copy(module / "main.go", copy)
    (copy / "go.mod").write_text(moved(go_mod, version))
    run_go(
        f"modules of Kubernetes {version}",
        ["mod", "tidy"],
        cwd=copy,
        environment=environment,
        report=report,
    )
    return copy

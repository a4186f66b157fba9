from pathlib import Path

import pytest

from tests.testbed import binaries
from tests.testbed.binaries import (
    BinariesError,
    control_plane_binaries,
    helm_binary,
    livekit_server_binary,
    s3_server_binary,
)
from tests.testbed.go_toolchain import GoError, _progress


def silent(_: str) -> None:
    """Keeps the progress of builds out of the test's output."""


def forbidden(_: Path) -> None:
    raise AssertionError("nothing is to be built here")


def make_assets(directory: Path, *programs: str) -> dict[str, str]:
    for program in programs:
        (directory / program).touch()
    return {"KUBEBUILDER_ASSETS": str(directory), "REPLAY_TEST_CACHE": str(directory / "cache")}


def test_a_complete_set_of_installed_programs_is_used_as_it_is(tmp_path: Path) -> None:
    environment = make_assets(
        tmp_path, "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"
    )
    found = control_plane_binaries(environment=environment, build=forbidden)
    assert found.etcd == tmp_path / "etcd"
    assert found.kube_scheduler == tmp_path / "kube-scheduler"


def test_programs_that_the_installed_set_lacks_come_from_the_build(tmp_path: Path) -> None:
    built: list[Path] = []
    environment = make_assets(tmp_path, "etcd", "kube-apiserver", "kubectl")
    found = control_plane_binaries(environment=environment, build=built.append)
    assert len(built) == 1
    assert found.kube_apiserver == tmp_path / "kube-apiserver"
    assert found.kubectl == tmp_path / "kubectl"
    assert found.kube_controller_manager.is_relative_to(tmp_path / "cache")
    assert found.kube_scheduler.is_relative_to(tmp_path / "cache")


def test_an_installed_set_without_an_api_server_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(BinariesError, match="holds no kube-apiserver"):
        control_plane_binaries(environment=make_assets(tmp_path, "etcd"), build=forbidden)


def test_without_an_installed_set_all_programs_come_from_one_build(tmp_path: Path) -> None:
    built: list[Path] = []
    environment = {"REPLAY_TEST_CACHE": str(tmp_path)}
    first = control_plane_binaries(environment=environment, build=built.append)
    second = control_plane_binaries(environment=environment, build=built.append)
    assert first == second
    assert len(built) == 1


def test_livekit_server_is_built_once_for_its_version(tmp_path: Path) -> None:
    built: list[Path] = []
    environment = {"REPLAY_TEST_CACHE": str(tmp_path)}
    first = livekit_server_binary(environment=environment, build=built.append)
    second = livekit_server_binary(environment=environment, build=built.append)
    assert (
        first == second == tmp_path / f"livekit-server-{binaries.LIVEKIT_SERVER_VERSION}" / "livekit-server"
    )
    assert len(built) == 1


def test_helm_is_built_once_for_its_version(tmp_path: Path) -> None:
    built: list[Path] = []
    environment = {"REPLAY_TEST_CACHE": str(tmp_path)}
    first = helm_binary(environment=environment, build=built.append)
    second = helm_binary(environment=environment, build=built.append)
    assert first == second == tmp_path / f"helm-{binaries.HELM_VERSION}" / "helm"
    assert len(built) == 1


def test_the_s3_server_is_built_once_for_its_version(tmp_path: Path) -> None:
    built: list[Path] = []
    environment = {"REPLAY_TEST_CACHE": str(tmp_path)}
    first = s3_server_binary(environment=environment, build=built.append)
    second = s3_server_binary(environment=environment, build=built.append)
    assert first == second == tmp_path / f"versitygw-{binaries.S3_SERVER_VERSION}" / "versitygw"
    assert len(built) == 1


def test_without_go_the_error_says_what_to_install(tmp_path: Path) -> None:
    environment = {"REPLAY_TEST_CACHE": str(tmp_path), "PATH": str(tmp_path)}
    with pytest.raises(GoError, match=r"Install Go 1\.25 or newer"):
        control_plane_binaries(environment=environment, report=silent)


def test_a_failed_go_command_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho main.go:1: broken >&2\nexit 3\n")
    go.chmod(0o755)
    environment = {"REPLAY_TEST_CACHE": str(tmp_path / "cache"), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    with pytest.raises(
        GoError, match=r"(?s)livekit-server: `go install` failed with exit code 3.*main.go:1: broken"
    ):
        livekit_server_binary(environment=environment, report=silent)


def test_another_release_of_livekit_server_is_kept_beside_the_usual_one(tmp_path: Path) -> None:
    built: list[Path] = []
    usual = {"REPLAY_TEST_CACHE": str(tmp_path)}
    other = {**usual, "LIVEKIT_SERVER_VERSION": "v1.99.0"}
    found = {livekit_server_binary(environment=each, build=built.append) for each in (usual, other)}
    assert found == {
        tmp_path / f"livekit-server-{version}" / "livekit-server"
        for version in (binaries.LIVEKIT_SERVER_VERSION, "v1.99.0")
    }
    assert len(built) == 2


def test_another_release_of_kubernetes_is_kept_beside_the_usual_one(tmp_path: Path) -> None:
    built: list[Path] = []
    usual = {"REPLAY_TEST_CACHE": str(tmp_path)}
    other = {**usual, "KUBERNETES_VERSION": "1.99.3"}
    found = [control_plane_binaries(environment=each, build=built.append) for each in (usual, other, other)]
    assert found[0].etcd != found[1].etcd == found[2].etcd
    assert "-v1.99.3-" in found[1].etcd.parent.name
    assert len(built) == 2


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", "nothing to compile yet"),
        ("go: downloading k8s.io/api v0.35.8\n", "downloading k8s.io/api v0.35.8"),
        ("go: downloading k8s.io/api v0.35.8\nunicode\nerrors\n", "2 packages compiled, the last one errors"),
    ],
)
def test_progress_says_what_go_is_doing(log: str, said: str) -> None:
    assert _progress(log) == said

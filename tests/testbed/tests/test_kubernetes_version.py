from pathlib import Path

import pytest

from tests.testbed.kubernetes_version import (
    KubernetesVersionError,
    kubernetes_version,
    module_for,
    moved,
    wanted_version,
)

GO_MOD = """module testbed

require (
\tk8s.io/component-base v0.99.3
\tk8s.io/kubernetes v1.99.3
)

require github.com/x/y v1.2.3 // indirect

require (
\tgithub.com/x/z v1.99.3 // indirect
)

replace (
\tk8s.io/api => k8s.io/api v0.99.3
)
"""


def silent(_: str) -> None:
    """Keeps the progress of Go out of the test's output."""


def test_go_mod_says_which_release_it_builds() -> None:
    assert kubernetes_version(GO_MOD) == "v1.99.3"
    with pytest.raises(KubernetesVersionError, match="requires no release"):
        kubernetes_version("require k8s.io/api v0.1.0\n")


@pytest.mark.parametrize(
    ("environment", "version"),
    [
        ({}, "v1.99.3"),
        ({"KUBERNETES_VERSION": ""}, "v1.99.3"),
        ({"KUBERNETES_VERSION": "1.34.4"}, "v1.34.4"),
        ({"KUBERNETES_VERSION": "v1.34.4"}, "v1.34.4"),
    ],
)
def test_the_release_of_go_mod_is_run_where_no_other_is_asked_for(
    environment: dict[str, str], version: str
) -> None:
    assert wanted_version(environment, GO_MOD) == version


@pytest.mark.parametrize("asked", ["1.34", "latest", "2.0.0", "1.34.4-rc.1", "../1.34.4"])
def test_what_is_no_release_is_refused(asked: str) -> None:
    with pytest.raises(KubernetesVersionError, match=r"write it as 1\.34\.4"):
        wanted_version({"KUBERNETES_VERSION": asked}, GO_MOD)


def test_all_parts_move_together_and_the_rest_is_found_anew() -> None:
    text = moved(GO_MOD, "v1.34.4")
    assert "k8s.io/kubernetes v1.34.4" in text
    assert "k8s.io/component-base v0.34.4" in text
    assert "k8s.io/api => k8s.io/api v0.34.4" in text
    assert "99.3" not in text
    assert "indirect" not in text


def test_the_release_of_the_tree_is_built_from_the_tree(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text(GO_MOD)
    copy = tmp_path / "copy"
    assert module_for(tmp_path, "v1.99.3", copy, environment={}, report=silent) == tmp_path
    assert not copy.exists()

"""What a call to the Kubernetes API is counted as."""

from __future__ import annotations

import pytest

from replay_operator.cluster.resources import resource_of


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces/team/persistentvolumeclaims/replay-buffers", "persistentvolumeclaims"),
        ("/apis/batch/v1/namespaces/team/jobs", "jobs"),
        (
            "/apis/replaybuffer.dev/v1alpha1/namespaces/jobs/replaybuffers/alice/status",
            "replaybuffers/status",
        ),
        ("/version", "other"),
    ],
)
def test_a_call_is_counted_for_the_type_that_it_is_about_and_never_for_a_name(
    path: str, resource: str
) -> None:
    assert resource_of(path) == resource

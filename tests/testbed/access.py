"""What the API server's RBAC says of a request that somebody might make."""

import json
from typing import NamedTuple

from tests.testbed.controlplane import ControlPlane


class Right(NamedTuple):
    """What somebody may want to do to objects of a kind."""

    verb: str
    group: str
    resource: str
    subresource: str = ""


def may(control_plane: ControlPlane, user: str, namespace: str, right: Right) -> bool:
    """Ask the authorizer; nothing is done.

    Args:
        control_plane: Whose.
        user: Their name, such as `system:serviceaccount:NAMESPACE:NAME`.
        namespace: Where they would do it.
        right: What.
    """
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {"namespace": namespace} | right._asdict()},
    }
    answer = control_plane.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review))
    return bool(json.loads(answer)["status"]["allowed"])

"""Which kinds of objects this package reads and writes, and where the API server keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from replay_operator.api.model import GROUP, VERSION
from replay_operator.api.replaybuffer import BUFFER_KIND, BUFFER_PLURAL
from replay_operator.api.replaycapture import CAPTURE_KIND, CAPTURE_PLURAL


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A namespaced kind."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """`apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str | None = None) -> str:
        """Give the URL path of the collection, or of one object."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        path = f"{root}/namespaces/{namespace}/{self.plural}"
        return f"{path}/{name}" if name else path


BUFFERS = ResourceType(GROUP, VERSION, BUFFER_PLURAL, BUFFER_KIND)
CAPTURES = ResourceType(GROUP, VERSION, CAPTURE_PLURAL, CAPTURE_KIND)
CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
PODS = ResourceType("", "v1", "pods", "Pod")
EVENTS = ResourceType("", "v1", "events", "Event")
JOBS = ResourceType("batch", "v1", "jobs", "Job")
AUTOSCALERS = ResourceType("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")


def resource_of(path: str) -> str:
    """Name the type that a path is about, such as `jobs` or `replaybuffers/status`; `other` for a document.

    Args:
        path: Of the API server.
    """
    _, _, below = path.partition("/namespaces/")
    parts = below.split("/")[1:]  # type, name, subresource
    return "/".join(parts[::2]) if parts else "other"

"""An install of `manifests/base` in one namespace of the test bed, and ways to look at it."""

import base64
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from replay_operator.api.agent import Coverage
from tests.stack.images import CHECKOUT
from tests.stack.livekit import LiveKitAdmin, RealRooms, Rooms, livekit_objects, secret
from tests.testbed.controlplane import ControlPlane, KubectlError
from tests.testbed.node import NodeStandIn

T = TypeVar("T")
POLL_SECONDS = 0.2

SMALL_FLOOR = "64Mi"
"""The volumes are directories of this machine: how full its disk is must not matter."""

BASE = CHECKOUT / "manifests" / "base"
ALICE: Rooms = {"standup": {"alice": ["SCREEN_SHARE", "SCREEN_SHARE_AUDIO", "CAMERA", "MICROPHONE"]}}


def changed_settings(
    rendered: str, settings: Mapping[str, str], agent_settings: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Give the objects of a rendered base, with other settings.

    Args:
        rendered: What kustomize gave.
        settings: Entries of the operator's ConfigMap.
        agent_settings: Variables of the agent, which has no ConfigMap.
    """
    objects: list[dict[str, Any]] = [found for found in yaml.safe_load_all(rendered) if found]
    by_name = {(found["kind"], found["metadata"]["name"]): found for found in objects}
    by_name["ConfigMap", "replay-operator-settings"]["data"] |= settings
    agent = by_name["Deployment", "replay-agent"]["spec"]["template"]["spec"]["containers"][0]
    variables = {"REPLAY_AGENT_FREE_SPACE_FLOOR": SMALL_FLOOR} | dict(agent_settings or {})
    agent["env"] += [{"name": name, "value": value} for name, value in variables.items()]
    return objects


class Stack:
    """Everything that a cluster would run, in one namespace that enforces Pod Security `restricted`."""

    def __init__(self, plane: ControlPlane, node: NodeStandIn, namespace: str) -> None:
        self.plane = plane
        self.node = node
        self.namespace = namespace

    def install(
        self,
        *,
        rooms: Rooms = ALICE,
        timing: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        agent_settings: Mapping[str, str] | None = None,
        webhook_urls: Sequence[str] = (),
        real_rooms: RealRooms | None = None,
        components: Sequence[str] = (),
    ) -> None:
        """Create the namespace and apply LiveKit's double and `manifests/base`.

        Args:
            rooms: Who publishes what.
            timing: Variables that change the double's timing.
            settings: Entries of the operator's ConfigMap that differ from `manifests/base`.
            secrets: Secrets that the base can do without, by name.
            agent_settings: Variables of the agent that `manifests/base` does not set.
            webhook_urls: Where LiveKit's webhooks are sent.
            real_rooms: A real livekit-server that has the rooms.
            components: What of `manifests/` stands on the base, such as `preview`.
        """
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": self.namespace, "labels": labels},
            }
        )
        self.apply(*livekit_objects(rooms, timing or {}, webhook_urls, real_rooms))
        if secrets:
            self.apply(*(secret(name, data) for name, data in secrets.items()))
        rendered = self.plane.kubectl("kustomize", str(BASE)) if not components else self._built(components)
        self.apply(*changed_settings(rendered, settings or {}, agent_settings))

    def _built(self, components: Sequence[str]) -> str:
        with tempfile.TemporaryDirectory() as overlay:
            # kustomize takes no absolute paths.
            manifests = os.path.relpath(BASE.parent, Path(overlay).resolve())
            kustomization = {
                "resources": [f"{manifests}/{BASE.name}"],
                "components": [f"{manifests}/{name}" for name in components],
            }
            (Path(overlay) / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
            return self.plane.kubectl("kustomize", overlay)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace, as administrator."""
        return self.plane.kubectl("-n", self.namespace, *arguments, input=stdin)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def apply_file(self, path: Path) -> None:
        """Apply a file."""
        self.kubectl("apply", "-f", str(path))

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Read an object, or None."""
        try:
            found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        except KubectlError as error:
            if "NotFound" in error.stderr:
                return None
            raise
        return found

    def list_all(self, kind: str, *, labels: str = "") -> list[dict[str, Any]]:
        """List objects."""
        selector = ["-l", labels] if labels else []
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *selector, "-o", "json"))["items"]
        return items

    def wait_for(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """Look until there is something.

        Args:
            what: Named in the failure.
            look: Gives what is wanted, or None or False while it is not there.
            seconds: How long to look at most.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen within {seconds:.0f} s\n{self.describe()}")
            time.sleep(POLL_SECONDS)

    def condition(self, kind: str, name: str, type_: str) -> dict[str, Any] | None:
        """Read a condition of an object."""
        found = self.get(kind, name) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), None)

    def wait_for_condition(
        self, kind: str, name: str, type_: str, *, status: str = "True", seconds: float
    ) -> dict[str, Any]:
        """Wait until a condition has a status; give the object."""

        def look() -> dict[str, Any] | None:
            found = self.condition(kind, name, type_)
            return self.get(kind, name) if found and found["status"] == status else None

        return self.wait_for(f"{kind} {name}: {type_}={status}", look, seconds=seconds)

    def wait_until_available(self, deployment: str, *, seconds: float = 120) -> None:
        """Wait until a Deployment has the pods that it wants."""
        self.wait_for_condition("deployment", deployment, "Available", seconds=seconds)

    def pod(self, component: str) -> str:
        """Name the one running pod of a Deployment."""
        names = self.running_pods(component)
        if len(names) != 1:
            raise AssertionError(f"{component} has {len(names)} running pods, not one: {names}")
        return names[0]

    def running_pods(self, component: str) -> list[str]:
        """Name the running pods of a Deployment that are not on their way out."""
        return [
            pod["metadata"]["name"]
            for pod in self.list_all("pods", labels=f"app.kubernetes.io/name={component}")
            if pod.get("status", {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def address(self, component: str) -> str:
        """Give the address of the one running pod of a Deployment."""
        pod = self.get("pod", self.pod(component)) or {}
        return str(pod["status"]["podIP"])

    @property
    def livekit(self) -> LiveKitAdmin:
        """The double's admin API."""
        return LiveKitAdmin(self.address("livekit"))

    def coverage(self) -> Coverage:
        """Ask the agent what lies on the buffer volume."""
        token = base64.b64decode(
            (self.get("secret", "replay-operator-agent") or {})["data"]["token"]
        ).decode()
        request = urllib.request.Request(
            f"http://{self.address('replay-agent')}:8480/v1/coverage",
            headers={"Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Coverage.model_validate_json(answer.read())

    def archive(self) -> Path:
        """Give the archive volume as a directory."""
        return self.node.volume_path(self.namespace, "replay-archive")

    def clip_file(self, path: str) -> Path:
        """Give a clip, by its path on the archive volume."""
        return self.archive() / path

    def segments(self, run: str) -> list[Path]:
        """Give the segments of a run, by its path on the buffer volume."""
        return sorted((self.node.volume_path(self.namespace, "replay-buffers") / run).glob("*.ts"))

    def describe(self) -> str:
        """Say what there is, for a failure's message."""
        parts = [self.kubectl("get", "rb,rcap,pods,pvc,jobs,hpa,events", "-o", "wide")]
        for component in ("replay-operator", "replay-agent", "livekit", "livekit-egress"):
            try:
                log = self.kubectl("logs", "--tail=15", "-l", f"app.kubernetes.io/name={component}")
            except KubectlError as error:
                log = error.stderr
            parts.append(f"--- log of {component}\n{log}")
        return "\n".join(parts)

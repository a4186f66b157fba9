"""A release of the chart on the test bed, in a namespace that enforces Pod Security `restricted`."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.helm.chart import CHART, RELEASE, ROOT, run_helm
from tests.stack.livekit import livekit_objects, secret
from tests.stack.stack import ALICE, SMALL_FLOOR, Stack

AGENT_SECRET = "replay-operator-agent"
BACK_END_TOKEN = "token-of-a-back-end"
WAIT = ("--wait", "--timeout", "150s")

SMALL: Mapping[str, Any] = {
    "agent": {"freeSpaceFloor": SMALL_FLOOR},
    "operator": {"livekitPollSeconds": 1},
    "drain": {"quietSeconds": 5},
}
"""What the bed needs, and LiveKit's double answers at once."""

MORE_RIGHTS: Mapping[str, Any] = {
    "preview": {"enabled": True, "url": "https://replay.example.org", "api": {"captures": True}},
    "fleet": {"podDeletionCost": True, "trackCompositeCpuCost": 1.5},
}
"""With them the operator's Role is as large as it gets; the last value rolls the workers."""

Json = dict[str, Any]


class Release:
    """What a user does with helm, as an administrator of the namespace."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def prepare(self) -> None:
        """Make the namespace with LiveKit's double and its Secret in it; the agent's token is the chart's."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        name = {"name": self.stack.namespace, "labels": labels}
        self.stack.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": name})
        self.stack.apply(*(o for o in livekit_objects(ALICE, {}) if o["metadata"]["name"] != AGENT_SECRET))
        self.stack.apply(secret("replay-preview-api", {"token": BACK_END_TOKEN}))
        self.stack.wait_until_available("livekit")

    def install(self, chart: Path = CHART) -> None:
        """Install and wait until everything is ready."""
        self._helm("install", RELEASE, str(chart), "--values", "-", *WAIT, stdin=yaml.safe_dump(dict(SMALL)))

    def upgrade(self, **values: Any) -> str:
        """Upgrade to the chart of this checkout, wait until everything is ready, and give what helm said."""
        changed = yaml.safe_dump({**SMALL, **values})
        return self._helm("upgrade", RELEASE, str(CHART), "--values", "-", *WAIT, stdin=changed)

    def test(self) -> str:
        """Run `helm test`; give what it said, with the logs of its hooks."""
        done = self._run("test", RELEASE, "--timeout", "100s")
        return done.stdout + done.stderr

    def uninstall(self) -> None:
        """Uninstall and wait until what it deletes is gone."""
        self._helm("uninstall", RELEASE, *WAIT)

    def token(self) -> str:
        """The agent's token."""
        return str((self.stack.get("secret", AGENT_SECRET) or {})["data"]["token"])

    def recordings(self) -> list[Json]:
        """What LiveKit records now."""
        over = {"EGRESS_COMPLETE", "EGRESS_FAILED", "EGRESS_ABORTED", "EGRESS_LIMIT_REACHED"}
        return [egress for egress in self.stack.livekit.get("egress") if egress["status"] not in over]

    def workers_of(self, generation: str) -> list[str]:
        """The pods of the workers' Deployment with a certain hash, also those on their way out."""
        selector = f"app.kubernetes.io/name=livekit-egress,pod-template-hash={generation}"
        return [pod["metadata"]["name"] for pod in self.stack.list_all("pods", labels=selector)]

    def generation(self) -> str:
        """The hash of the workers that run."""
        (pod, *_) = self.stack.list_all("pods", labels="app.kubernetes.io/name=livekit-egress")
        return str(pod["metadata"]["labels"]["pod-template-hash"])

    def save(self, buffer: str, start: str, end: str) -> str:
        """Ask the operator's preview API for a capture, as a back end does; give its name."""
        request = urllib.request.Request(
            f"http://{self.stack.address('replay-operator')}:8083/v1/buffers/{buffer}/captures",
            data=json.dumps({"start": start, "end": end}).encode(),
            headers={"Authorization": f"Bearer {BACK_END_TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return str(json.load(answer)["name"])

    def left(self) -> set[str]:
        """Name what is in the namespace, but for LiveKit's double, Secrets and what every namespace has."""
        kinds = (
            "deployments,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,jobs,"
            "poddisruptionbudgets,horizontalpodautoscalers,networkpolicies,persistentvolumeclaims,rb,rcap"
        )
        names = self.stack.kubectl("get", kinds, "-o", "name").split()
        theirs = ("livekit", "kube-root-ca.crt", "default", "replay-operator-livekit", "replay-preview-api")
        server = {f"pod/{name}" for name in self.stack.running_pods("livekit")}
        return {name for name in names if name.partition("/")[2] not in theirs} - server

    def _helm(self, *arguments: str, stdin: str | None = None) -> str:
        return self._run(*arguments, stdin=stdin).stdout

    def _run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return run_helm(
            *arguments,
            "--namespace",
            self.stack.namespace,
            stdin=stdin,
            kubeconfig=self.stack.plane.kubeconfig,
        )


def chart_before(target: Path) -> Path | None:
    """Lay out the chart of the last commit that has another one; None: no history, or no other.

    Args:
        target: An empty directory.
    """
    path = CHART.relative_to(ROOT)
    for commit in _git("rev-list", "HEAD", "--", str(path)).split():
        if subprocess.run(
            ["git", "diff", "--quiet", commit, "--", str(path)], cwd=ROOT, check=False
        ).returncode:
            archive = subprocess.run(
                ["git", "archive", commit, str(path)], cwd=ROOT, check=True, capture_output=True
            ).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as files:
                files.extractall(target, filter="data")
            return target / path
    return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout


def now_text() -> str:
    """The time, as a range of a capture has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

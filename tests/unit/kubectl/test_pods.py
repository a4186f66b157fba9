import asyncio
import os
import re
import threading
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest
import yaml
from kubernetes.aio.client import ApiClient

from replay_operator.api.replaycapture import Clip
from replay_operator.cluster.gateway import ClusterError, Json, KubernetesGateway
from replay_operator.cluster.resources import ResourceType
from replay_operator.kubectl.agent_pod import AgentPod, read_agent_pod
from replay_operator.kubectl.download import clip_file, download, fetch, running, target_file
from replay_operator.kubectl.download_pod import LIFE_SECONDS, reader_pod
from replay_operator.kubectl.errors import PluginError
from replay_operator.kubectl.live import ASK
from replay_operator.kubectl.session import Session
from tests.unit.kubectl.objects import CLIP, capture_json

AGENT_MANIFEST = Path(__file__).parents[3] / "manifests" / "base" / "agent.yaml"


def agent_pod() -> dict[str, Any]:
    """The pod that the Deployment of `manifests/base` makes."""
    deployment = next(o for o in yaml.safe_load_all(AGENT_MANIFEST.read_text()) if o["kind"] == "Deployment")
    pod: dict[str, Any] = {
        "metadata": {"name": "replay-agent-x"},
        "spec": deployment["spec"]["template"]["spec"],
    }
    pod["spec"]["nodeName"] = "node-1"
    return pod


@pytest.fixture
def agent() -> AgentPod:
    return read_agent_pod(agent_pod())


def test_the_agents_pod_tells_its_claim_its_node_and_its_container(agent: AgentPod) -> None:
    assert (agent.archive_claim, agent.node, agent.container) == ("replay-archive", "node-1", "agent")


def test_other_names_in_an_overlay_are_found_by_their_mounts() -> None:
    pod = agent_pod()
    for volume in pod["spec"]["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = f"mine-{volume['name']}"
    assert read_agent_pod(pod).archive_claim == "mine-archive"


def test_a_pod_that_mounts_no_archive_is_refused() -> None:
    pod = agent_pod()
    pod["spec"]["volumes"] = []
    with pytest.raises(PluginError, match="pod replay-agent-x is no agent of this version"):
        read_agent_pod(pod)


def test_the_reader_may_only_read_the_archive_and_ends_by_itself(agent: AgentPod) -> None:
    spec = reader_pod(agent, capture_json())["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert [m["readOnly"] for m in container["volumeMounts"]] == [True]
    assert [v["persistentVolumeClaim"] for v in spec["volumes"]] == [
        {"claimName": "replay-archive", "readOnly": True}
    ]
    assert spec["activeDeadlineSeconds"] == LIFE_SECONDS
    assert "env" not in container


def test_the_reader_runs_on_the_agents_node_and_belongs_to_the_capture(agent: AgentPod) -> None:
    pod = reader_pod(agent, capture_json("goal"))
    assert "node-1" in str(pod["spec"]["affinity"])
    assert pod["metadata"]["ownerReferences"][0]["name"] == "goal"


def test_two_downloads_have_two_pods(agent: AgentPod) -> None:
    assert len({reader_pod(agent, capture_json())["metadata"]["name"] for _ in range(9)}) == 9


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b.mp4", ""])
def test_a_path_that_leaves_the_archive_is_refused(path: str) -> None:
    with pytest.raises(PluginError, match="no path on the archive volume"):
        clip_file(Clip.model_validate({**CLIP, "path": path}))


def test_a_clip_goes_under_its_own_name_unless_another_is_given(tmp_path: Path) -> None:
    path = clip_file(Clip.model_validate(CLIP))
    assert str(path) == f"/archive/{CLIP['path']}"
    assert target_file(None, path) == Path("goal-cacacaca.mp4")
    assert target_file(tmp_path, path) == tmp_path / "goal-cacacaca.mp4"
    assert target_file(tmp_path / "mine.mp4", path) == tmp_path / "mine.mp4"


def test_what_the_agent_is_asked_with_uses_only_what_its_manifest_sets() -> None:
    variables = {each["name"] for each in agent_pod()["spec"]["containers"][0]["env"]}
    assert set(re.findall(r'os\.environ\["(\w+)"\]', ASK)) <= variables
    compile(ASK, "ask", "exec")


class SlowToAnswer:
    """An API server that makes the pod, whether its answer is waited for or not."""

    def __init__(self) -> None:
        self.pods: set[str] = set()
        self.asked, self.may_make = asyncio.Event(), asyncio.Event()

    async def create(self, _type: ResourceType, _namespace: str, body: Json) -> None:
        self.making = asyncio.ensure_future(self._make(body["metadata"]["name"]))
        await asyncio.shield(self.making)

    async def _make(self, name: str) -> None:
        self.asked.set()
        await self.may_make.wait()
        self.pods.add(name)

    async def delete(self, _type: ResourceType, _namespace: str, name: str) -> None:
        self.pods.discard(name)


def session_with(server: object) -> Session:
    return Session(cast("KubernetesGateway", server), cast("ApiClient", None), "replay")


class Answering:
    """An API server that has one object."""

    def __init__(self, body: Json) -> None:
        self._body = body

    async def get(self, _type: ResourceType, _namespace: str, _name: str) -> Json:
        return self._body


async def test_a_clip_that_is_only_in_object_storage_is_said_to_be_there(tmp_path: Path) -> None:
    body = capture_json("goal")
    body["status"] |= {
        "clip": {**CLIP, "url": "s3://clips/goal.mp4"},
        "upload": {"state": "Verified", "attempts": 1, "localCopy": "Dropped"},
    }
    with pytest.raises(PluginError, match=r"only in object storage.*s3://clips/goal.mp4"):
        await download(session_with(Answering(body)), "goal", tmp_path, force=False)


async def test_a_download_that_is_interrupted_while_its_pod_is_made_leaves_none(agent: AgentPod) -> None:
    server = SlowToAnswer()

    async def downloading_in_a_pod() -> None:
        async with running(session_with(server), reader_pod(agent, capture_json())):
            pytest.fail("it runs, and nobody has said so")

    downloading = asyncio.ensure_future(downloading_in_a_pod())
    await server.asked.wait()
    downloading.cancel()
    asyncio.get_running_loop().call_later(0.05, server.may_make.set)
    with pytest.raises(asyncio.CancelledError):
        await downloading
    await server.making
    assert server.pods == set()


async def test_a_pod_that_the_server_refuses_is_not_deleted_but_told(agent: AgentPod) -> None:
    class Refusing(SlowToAnswer):
        async def create(self, _type: ResourceType, _namespace: str, _body: Json) -> None:
            raise ClusterError(403, "pods is forbidden")

        async def delete(self, _type: ResourceType, _namespace: str, name: str) -> None:
            pytest.fail(f"{name} was never made")

    with pytest.raises(ClusterError, match="pods is forbidden"):
        async with running(session_with(Refusing()), reader_pod(agent, capture_json())):
            pytest.fail("there is no pod")


async def test_a_download_that_is_interrupted_while_its_file_is_made_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, may_open, opened = threading.Event(), threading.Event(), threading.Event()

    def slow_open(*arguments: Any, **options: Any) -> Any:
        opening.set()
        may_open.wait()
        found = open(*arguments, **options)  # noqa: PTH123, SIM115 - stands for the open of aiofiles
        opened.set()
        return found

    monkeypatch.setattr("aiofiles.threadpool.sync_open", slow_open)
    clip = Clip.model_validate(CLIP)
    fetching = asyncio.ensure_future(
        fetch(session_with(None), "reader", PurePosixPath("/archive/a.mp4"), clip, tmp_path / "a.mp4")
    )
    await asyncio.to_thread(opening.wait)
    fetching.cancel()
    asyncio.get_running_loop().call_later(0.05, may_open.set)
    with pytest.raises(asyncio.CancelledError):
        await fetching
    await asyncio.to_thread(opened.wait)
    assert await asyncio.to_thread(os.listdir, tmp_path) == []

"""`kubectl replay` against a real API server, without an operator: what it makes, changes and says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.kubectl_plugin import Plugin
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane, KubectlError

pytestmark = pytest.mark.cluster

NAME = "standup-alice-screen"


@pytest.fixture
def replay(
    control_plane: ControlPlane, control_plane_binaries: ControlPlaneBinaries, crds: None, namespace: str
) -> Plugin:
    return Plugin(control_plane_binaries.kubectl, control_plane.kubeconfig, namespace)


@pytest.fixture
def recording(replay: Plugin) -> Plugin:
    assert replay("start", "standup/alice", "--window", "5m").code == 0
    return replay


def stored(plane: ControlPlane, namespace: str, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
    return found


def test_start_makes_a_buffer_of_what_a_participant_shows(
    replay: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    answer = replay(
        "start", "standup/alice", "--window", "1h30m", "--segment", "4s", "--preset", "h264_1080p_30"
    )
    assert (answer.code, answer.out) == (0, f"replaybuffer.replaybuffer.dev/{NAME} created\n"), answer.err
    spec = stored(control_plane, namespace, "rb", NAME)["spec"]
    assert (spec["windowSeconds"], spec["segmentSeconds"]) == (5400, 4)
    assert spec["encoding"] == {"preset": "H264_1080P_30"}
    assert spec["source"]["participant"]["audio"] == "ScreenShareAudio"


def test_a_second_start_is_refused_as_kubectl_refuses_a_second_create(recording: Plugin) -> None:
    answer = recording("start", "standup/alice")
    assert answer.code == 1
    assert answer.err == (
        f'Error from server (AlreadyExists): replaybuffers.replaybuffer.dev "{NAME}" already exists\n'
    )


def test_stop_suspends_and_start_goes_on_with_the_flags_that_are_given(
    recording: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    assert recording("stop", NAME).out == f"replaybuffer.replaybuffer.dev/{NAME} suspended\n"
    assert stored(control_plane, namespace, "rb", NAME)["spec"]["suspend"] is True
    assert (
        recording("stop", f"rb/{NAME}").err == f"replaybuffer.replaybuffer.dev/{NAME} is suspended already\n"
    )
    elsewhere = recording("start", "lounge/alice", "--name", NAME)
    assert "records something else: give another --name" in elsewhere.err
    assert recording("start", "standup/alice", "--keep", "1h").out.endswith(f"{NAME} resumed\n")
    spec = stored(control_plane, namespace, "rb", NAME)["spec"]
    assert (spec["suspend"], spec["windowSeconds"], spec["keepAfterEndSeconds"]) == (False, 300, 3600)


def test_stop_with_delete_removes_the_buffer(
    recording: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    assert recording("stop", NAME, "--delete").out == f"replaybuffer.replaybuffer.dev/{NAME} deleted\n"
    with pytest.raises(KubectlError, match="NotFound"):
        stored(control_plane, namespace, "rb", NAME)


def test_save_names_the_moment_to_the_millisecond(
    recording: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    before = datetime.now(UTC)
    answer = recording(
        *(
            "save",
            NAME,
            "--last",
            "1m30s",
            "--post",
            "15s",
            "--title",
            "Goal",
            "--tail",
            "flush",
            "-o",
            "name",
        )
    )
    assert answer.code == 0, answer.err
    name = answer.out.strip().removeprefix("replaycapture.replaybuffer.dev/")
    spec = stored(control_plane, namespace, "rcap", name)["spec"]
    last = spec["range"]["last"]
    assert (last["seconds"], last["postRollSeconds"]) == (90, 15)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", last["until"])
    moment = datetime.fromisoformat(last["until"])
    assert before - timedelta(milliseconds=1) <= moment <= datetime.now(UTC)
    assert (spec["tail"], spec["output"]["title"], spec["deletionPolicy"]) == ("Flush", "Goal", "Retain")
    assert recording("get", answer.out.strip()).cells[0]["NAME"] == name, "-o name is what get takes"


def test_a_buffer_that_is_not_there_is_said_in_the_servers_words(replay: Plugin) -> None:
    answer = replay("save", "nobody", "--last", "5m")
    assert answer.code == 1
    assert answer.err == 'Error from server (NotFound): replaybuffers.replaybuffer.dev "nobody" not found\n'


def test_a_wish_that_the_schema_refuses_is_told_with_its_field(replay: Plugin) -> None:
    answer = replay("start", "standup/alice", "--window", "30s", "--segment", "15s")
    assert answer.code == 1
    assert answer.err.startswith(f'The ReplayBuffer "{NAME}" is invalid: spec: ')
    assert "windowSeconds must hold at least three segments" in answer.err


def test_waiting_for_nobody_ends_with_kubectls_words_and_leaves_the_capture(recording: Plugin) -> None:
    answer = recording("save", NAME, "--last", "5s", "--name", "late", "--wait", "--timeout", "1s")
    assert answer.code == 1
    assert "Waiting for the operator\n" in answer.err
    assert "error: timed out waiting for the condition on replaycaptures/late" in answer.err
    assert [row["NAME"] for row in recording("get").cells] == ["late"]


def test_ls_without_an_agent_says_that_the_figures_are_those_of_the_status(recording: Plugin) -> None:
    answer = recording("ls", "-o", "wide")
    assert answer.code == 0
    assert "from the status, not from the agent: no agent runs in namespace" in answer.err
    (row,) = answer.cells
    assert (row["NAME"], row["ROOM"], row["SOURCE"], row["WINDOW"]) == (NAME, "standup", "alice", "0s/5m")
    assert recording("ls", "-o", "json").json["items"][0]["metadata"]["name"] == NAME
    assert recording("ls", "-o", "name").out == f"replaybuffer.replaybuffer.dev/{NAME}\n"


def test_an_empty_namespace_is_told_as_kubectl_tells_it(replay: Plugin) -> None:
    for command in ("ls", "get"):
        answer = replay(command)
        assert (answer.code, answer.out) == (0, "")
        assert answer.err == f"No resources found in {replay.namespace} namespace.\n"


def test_a_capture_that_is_not_finished_is_cancelled_and_a_finished_one_stays(
    recording: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    for name in ("going", "done"):
        assert recording("save", NAME, "--last", "5s", "--name", name).code == 0
    ready = {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-05-04T10:00:20Z",
        "reason": "ClipReady",
        "message": "The clip is complete.",
    }
    patch = json.dumps({"status": {"conditions": [ready]}})
    control_plane.kubectl(
        *("-n", namespace, "patch", "rcap", "done", "--subresource=status", "--type=merge", "-p", patch)
    )
    assert recording("cancel", "going").out == "replaycapture.replaybuffer.dev/going cancelled\n"
    answer = recording("cancel", "done")
    assert answer.code == 1
    assert "is finished: there is nothing to cancel" in answer.err
    assert [row["NAME"] for row in recording("get").cells] == ["done"]


def test_forget_writes_the_annotation_that_the_operator_follows(
    recording: Plugin, control_plane: ControlPlane, namespace: str
) -> None:
    assert recording("forget", NAME).code == 0
    annotations = stored(control_plane, namespace, "rb", NAME)["metadata"]["annotations"]
    moment = datetime.fromisoformat(annotations["replaybuffer.dev/forget-before"])
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


def test_who_may_not_is_told_so_in_the_servers_words(
    recording: Plugin, control_plane: ControlPlane, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kubeconfig = tmp_path_factory.mktemp("nobody") / "kubeconfig"
    config = json.loads(control_plane.kubeconfig.read_text())
    token = control_plane.kubectl("-n", namespace, "create", "token", "default").strip()
    config["users"][0]["user"] = {"token": token}
    kubeconfig.write_text(json.dumps(config))
    answer = Plugin(recording.kubectl, kubeconfig, namespace)("get")
    assert answer.code == 1
    assert answer.err.startswith(
        "Error from server (Forbidden): replaycaptures.replaybuffer.dev is forbidden: "
    )


def test_kubectl_completes_commands_and_the_names_of_objects(recording: Plugin) -> None:
    assert recording.completions("sa")[0] == "save\tSave the last minutes of a buffer."
    assert recording.completions("save", "stand")[0] == NAME
    assert recording.completions("describe", "nothing-like-it")[0] == ":4"

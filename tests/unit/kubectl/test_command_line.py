from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay_operator.cluster.gateway import ClusterError, ClusterUnreachable, Conflict, Forbidden
from replay_operator.kubectl.completion import candidates
from replay_operator.kubectl.errors import NotFound, sentence, server_sentence
from replay_operator.kubectl.program import replay, run

COMMANDS = ("start", "ls", "describe", "save", "get", "download", "cancel", "stop", "forget")

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: nowhere, user: me, namespace: mine}}]
users: [{name: me, user: {}}]
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    return str(file)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_has_the_flags_of_kubectl(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Usage: kubectl replay {command}")
    assert all(flag in told for flag in ("-n, --namespace", "--context", "--kubeconfig"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rewind"], "No such command 'rewind'"),
        (["save", "alice"], "Missing option '--last'"),
        (["save", "alice", "--last", "5"], "'5' is no duration: write 90s, 5m or 1h30m"),
        (["save", "Alice", "--last", "5m"], "'Alice' cannot be the name of a ReplayBuffer"),
        (["save", "../secrets/x", "--last", "5m"], "is no ReplayBuffer"),
        (["start", "standup"], "'standup' is not ROOM/IDENTITY, such as standup/alice"),
        (["ls", "-o", "xml"], "'xml' is not one of"),
    ],
)
def test_what_it_does_not_understand_it_refuses_with_kubectls_exit_code(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said
    assert "--help' for usage." in said


def test_a_context_that_is_not_in_the_kubeconfig_is_named(
    kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ls", "--kubeconfig", kubeconfig, "--context", "there"]) == 1
    assert capsys.readouterr().err == 'error: context "there" does not exist\n'


def test_a_kubeconfig_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ls", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err.startswith("error: the kubeconfig cannot be used: ")


def test_a_server_that_does_not_answer_is_said_as_kubectl_says_it(
    kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--kubeconfig", kubeconfig, "get"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Unable to connect to the server: ")
    assert "/namespaces/mine/replaycaptures" in said, "the namespace is that of the context"


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "standup/alice"],
        ["start", "standup/alice", "--video", "camera", "--audio", "None", "--preset", "H264_1080P_30"],
        ["save", "alice", "--last", "5m", "--tail", "Flush", "--trim", "segment", "--holes", "close"],
        [
            "save",
            "alice",
            "--last",
            "5m",
            "--when-short",
            "Fail",
            "--deletion-policy",
            "Delete",
            "--ttl",
            "24h",
        ],
    ],
)
def test_values_are_taken_as_the_resource_has_them_and_in_small_letters(
    arguments: list[str], kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--kubeconfig", kubeconfig]) == 1
    assert capsys.readouterr().err.startswith("Unable to connect to the server: ")


def test_a_flag_after_the_subcommand_counts_more_than_one_before_it(
    kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--kubeconfig", kubeconfig, "-n", "before", "get", "-n", "after"]) == 1
    assert "/namespaces/after/replaycaptures" in capsys.readouterr().err


def status(code: int, reason: str, message: str, **details: object) -> dict[str, object]:
    return {"code": code, "reason": reason, "message": message, "details": details}


def test_refusals_are_the_servers_own_words() -> None:
    forbidden = Forbidden(403, "POST /x: no (HTTP 403)", status(403, "Forbidden", "you may not"))
    assert server_sentence(forbidden) == "Error from server (Forbidden): you may not"
    there = Conflict(409, "POST /x", status(409, "AlreadyExists", '"x" already exists'))
    assert server_sentence(there) == 'Error from server (AlreadyExists): "x" already exists'
    assert sentence(NotFound("replaybuffers.replaybuffer.dev", "x")) == (
        'Error from server (NotFound): replaybuffers.replaybuffer.dev "x" not found'
    )


def test_an_invalid_object_is_told_by_its_fields() -> None:
    causes = [{"field": "spec.windowSeconds", "message": "must hold at least three segments"}]
    answer = status(422, "Invalid", "long", kind="ReplayBuffer", name="x", causes=causes)
    told = server_sentence(ClusterError(422, "POST", answer))
    assert told == 'The ReplayBuffer "x" is invalid: spec.windowSeconds: must hold at least three segments'
    answer = status(422, "Invalid", "long", kind="ReplayBuffer", name="x", causes=causes * 2)
    assert server_sentence(ClusterError(422, "POST", answer)).count("\n* ") == 2


def test_a_server_that_is_busy_is_told_by_its_message() -> None:
    assert server_sentence(ClusterUnreachable(503, "GET /x: busy (HTTP 503)")) == (
        "Error from server: GET /x: busy (HTTP 503)"
    )


def test_kubectl_hears_the_commands_with_what_they_do() -> None:
    told = candidates(replay, ["s"]).splitlines()
    assert told[:-1] == [
        "save\tSave the last minutes of a buffer.",
        "start\tRecord what a participant shows.",
        "stop\tStop a recording.",
    ]
    assert told[-1] == ":4", "no file names"


def test_kubectl_hears_flags_and_their_values() -> None:
    assert "--tail\t" in candidates(replay, ["save", "x", "--ta"])
    assert candidates(replay, ["save", "x", "--tail", "F"]).splitlines()[0] == "flush"


def test_the_file_of_a_download_is_left_to_the_shell() -> None:
    assert candidates(replay, ["download", "x", ""]) == ":0\n"


def test_completion_is_silent_where_no_cluster_answers(kubeconfig: str) -> None:
    assert candidates(replay, ["--kubeconfig", kubeconfig, "get", ""]) == ":4\n"


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    """`kubectl replay --help | true`, with a pipe whose reader has gone before the first line."""
    read, write = os.pipe()
    os.close(read)
    code = "from replay_operator.kubectl.program import main; main()"
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(write)
    assert "Traceback" not in done.stderr

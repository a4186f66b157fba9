"""`replay-operator catalogue`: what people and scripts see of the catalogue, and what they may set."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from replay_operator.catalogue.database import Database, open_database
from replay_operator.catalogue.migrate import bring_up_to_date
from replay_operator.catalogue.tables import ClipStatus, SessionStatus
from replay_operator.catalogue.writing import Entry, EntryWriter
from replay_operator.cli.program import run
from tests.catalogue import redis_server
from tests.catalogue.entries import clip, session
from tests.catalogue.revision import set_revision

Run = Callable[..., str]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def url(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in list(os.environ):
        if name.startswith("REPLAY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REPLAY_CATALOGUE_URL", sqlite_url)
    return sqlite_url


def fill(url: str, *entries: Entry, revision: str | None = None) -> None:
    async def work(database: Database) -> None:
        await bring_up_to_date(database)
        await EntryWriter(database).write(entries)
        if revision is not None:
            await set_revision(database, revision)
        await database.close()

    asyncio.run(work(open_database(SecretStr(url))))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        assert run(["catalogue", *arguments]) == 0
        return capsys.readouterr().out

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        assert run(["catalogue", *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return call


def test_clips_are_shown_as_a_table(url: str, said: Run) -> None:
    fill(
        url,
        clip("a", quota_bytes=90 * 2**20, title="Goal!"),
        clip("b", status=ClipStatus.FAILED, reason="BufferNotFound", kinds=(), created_at=LONG_AGO),
    )
    head, first, second = said("clips").splitlines()
    assert head.split() == ["CREATED", "STATUS", "OWNER", "ROOM", "LENGTH", "SIZE", "CAPTURE", "TITLE"]
    assert first.split(maxsplit=7)[1:5] == ["Ready", "user-42", "standup", "1:00.0"]
    assert "180.0 MiB  team/clip-a  Goal!" in first
    assert "Failed (BufferNotFound)" in second


def test_what_a_terminal_would_obey_is_not_printed(url: str, said: Run) -> None:
    fill(url, clip("a", title="\x1b[2J\x07 gone\u202e"))
    shown = said("clips")
    assert "?[2J? gone?" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("question", ["clips", "sessions"])
def test_lists_are_narrowed_and_turned_page_by_page(url: str, said: Run, question: str) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    now = datetime.now(UTC) - timedelta(minutes=1)
    for make in (clip, session):
        fill(
            url,
            *(make(f"{make.__name__}{n}", created_at=now - timedelta(seconds=n)) for n in range(5)),
            make(f"{make.__name__}-old", created_at=old),
            make(f"{make.__name__}-theirs", owner="user-7", created_at=now),
            make(f"{make.__name__}-elsewhere", room="another", created_at=now),
        )
    narrowed = [
        question,
        "--owner",
        "user-42",
        "--room",
        "standup",
        "--since",
        "2h",
        "--limit",
        "3",
        "-o",
        "json",
    ]
    first = json.loads(said(*narrowed))
    second = json.loads(said(*narrowed, "--cursor", first["next"]))
    kind = question.removesuffix("s")
    assert [one["uid"] for one in first[question] + second[question]] == [f"{kind}{n}" for n in range(5)]
    assert "next" not in second
    assert "There is more: --cursor " in said(question, "--limit", "1")


def test_a_status_may_be_asked_for_more_than_once(url: str, said: Run) -> None:
    fill(
        url,
        session("a"),
        session("p", status=SessionStatus.PAUSED),
        session("e", status=SessionStatus.ENDED, ended_at=LONG_AGO),
    )
    shown = json.loads(said("sessions", "--status", "Paused", "--status", "Ended", "-o", "json"))
    assert {one["uid"] for one in shown["sessions"]} == {"p", "e"}
    assert "2026-01-01T00:00:00Z  team/buffer-e" in said("sessions", "--status", "Ended")


def quotas(said: Run, *arguments: str) -> dict[str, Any]:
    return {one["owner"]: one for one in json.loads(said("quota", *arguments, "-o", "json"))["quotas"]}


def test_quotas_show_what_is_used_of_what_limit_and_whose_limit_it_is(
    url: str, said: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_MAX_BUFFERS_PER_OWNER", "2")
    monkeypatch.setenv("REPLAY_MAX_ARCHIVE_PER_OWNER", "1Gi")
    now = datetime.now(UTC)
    fill(
        url,
        clip("ready", quota_bytes=1000, created_at=now - timedelta(minutes=10)),
        clip("pending", quota_bytes=500, status=ClipStatus.PENDING, kinds=(), created_at=now),
        clip("refused", status=ClipStatus.FAILED, reason="QuotaExceeded", quota_bytes=0, created_at=now),
        session("records"),
        session("paused", status=SessionStatus.PAUSED, reason="SourceGone"),
        session("suspended", status=SessionStatus.PAUSED, reason="Suspended"),
        session("waits", reason="WaitingForAdmission"),
        session("over", status=SessionStatus.ENDED, ended_at=now),
    )
    assert quotas(said)["user-42"] == {
        "owner": "user-42",
        "archiveBytes": {"used": 1500, "limit": 2**30, "own": False},
        "reservedBytes": 500,
        "buffers": {"used": 2, "limit": 2, "own": False},
        "capturesPerMinute": {"used": 1, "own": False},
        "capturesPerHour": {"used": 2, "own": False},
    }
    said("quota", "set", "user-42", "--buffers", "5")
    assert "1.5 KiB of 1.0 GiB  500 B     2 of 5*" in said("quota", "--owner", "user-42")


def test_an_owners_own_limits_are_set_one_by_one_and_taken_back_together(url: str, said: Run) -> None:
    fill(url)
    said("quota", "set", "ann", "--archive-bytes", "2Gi", "--captures-per-minute", "3")
    said("quota", "set", "ann", "--captures-per-hour", "0")
    ann = quotas(said)["ann"]
    assert ann["archiveBytes"] == {"used": 0, "limit": 2**31, "own": True}
    assert ann["capturesPerMinute"]["limit"] == 3
    assert ann["capturesPerHour"]["limit"] == 0
    assert "limit" not in ann["buffers"]
    said("quota", "unset", "ann")
    assert said("quota") == "nothing found\n"
    said("quota", "unset", "ann")


def test_owners_are_listed_by_name_page_by_page(url: str, said: Run) -> None:
    fill(url, *(clip(f"c{n}", owner=owner) for n, owner in enumerate(("cid", "ann", "ann", "eve"))))
    said("quota", "set", "bob", "--buffers", "1")
    first = json.loads(said("quota", "--limit", "2", "-o", "json"))
    assert [one["owner"] for one in first["quotas"]] == ["ann", "bob"]
    assert list(quotas(said, "--limit", "2", "--cursor", first["next"])) == ["cid", "eve"]


@pytest.fixture
def redis_(tmp_path: Path) -> Iterator[redis_server.RedisServer]:
    found = redis_server.program()
    if found is None:
        pytest.skip("there is no redis-server: install Debian's package redis-server")
    with redis_server.running(found, tmp_path) as server:
        yield server


def test_processes_that_share_a_redis_are_told_of_new_limits(
    url: str, said: Run, redis_: redis_server.RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_QUOTA_CACHE_URL", redis_.url)
    fill(url)
    with redis_.client() as client:
        said("quota", "set", "ann", "--buffers", "5")
        told = {key.decode().rpartition("generation:")[2]: client.get(key) for key in client.keys("*")}
        assert set(told) == {"owner:ann", "buffers"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["films"],
        ["clips", "--status", "Bad"],
        ["clips", "--since", "soon"],
        ["clips", "--limit", "0"],
        ["clips", "--limit", "201"],
        ["clips", "--owner", "a b"],
        ["quota", "set", "ann"],
        ["quota", "set", "ann", "--archive-bytes", "much"],
        ["quota", "set", "ann", "--archive-bytes", "10E"],
        ["quota", "set", "ann", "--buffers", "-1"],
        ["quota", "unset"],
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["catalogue", *arguments])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_without_a_url_it_says_where_there_is_one(refused: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLAY_CATALOGUE_URL")
    assert "kubectl exec deploy/replay-operator" in refused("clips")


def test_a_file_that_is_not_there_is_not_made(url: str, refused: Run) -> None:
    assert "is not there" in refused("clips")
    assert not Path(url.removeprefix("sqlite:///")).exists()


def test_a_database_that_is_away_is_named_without_its_password(
    refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_CATALOGUE_URL", "postgresql://me:geheim@127.0.0.1:1/catalogue")
    answer = refused("quota", "set", "ann", "--buffers", "1")
    assert "127.0.0.1/catalogue" in answer
    assert "does not answer" in answer
    assert "geheim" not in answer


@pytest.mark.parametrize(
    ("revision", "advice"), [("9999", "run the version that made it"), ("0001", "start the operator of this")]
)
def test_a_schema_of_another_version_is_left_alone_with_advice(
    url: str, refused: Run, revision: str, advice: str
) -> None:
    fill(url, revision=revision)
    assert advice in refused("clips")


def test_a_cursor_that_is_none_is_refused_with_a_sentence(url: str, refused: Run) -> None:
    fill(url)
    assert "the cursor is none" in refused("clips", "--cursor", "x")


def test_a_default_that_is_no_number_is_refused_without_repeating_secrets(
    url: str, refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY_MAX_BUFFERS_PER_OWNER", "many")
    assert "max_buffers_per_owner" in refused("quota")

"""Addresses that the operator hands out: to whom, for what, and that the agent lets their holder in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openapi_spec_validator import validate
from yarl import URL

from replay_operator.address_keys import KEY_FILES, AddressKeys
from replay_operator.api.replaycapture import ReplayCaptureSpec
from replay_operator.cluster.gateway import ClusterError, ClusterUnreachable, Forbidden
from replay_operator.cluster.resources import BUFFERS, CAPTURES, ResourceType
from replay_operator.controller.preview_api import preview_api
from replay_operator.domain.signed_address import Scope, SigningKey, check_address
from replay_operator.metrics import OperatorMetrics
from replay_operator.settings import OperatorSettings
from tests.agent.process import free_port
from tests.builders import BUFFER_UID, buffer_body, capture_body

NOW = datetime(2026, 11, 23, 14, 0, 0, 250_000, tzinfo=UTC)
TOKEN = "a-token-of-the-back-end"
KEY = SigningKey(b"a-secret-that-nobody-guesses-0001")
BUCKET_URL = "s3://clips/goal-0d4f7d3c.mp4"
CLIP = "team/user 42/2026-11-22/goal-0d4f7d3c.mp4"


class KnownObjects:
    """The API server, as far as this API asks it."""

    def __init__(self) -> None:
        clip = {"path": CLIP}
        self.known: dict[tuple[str, str], dict[str, Any]] = {
            (BUFFERS.plural, "alice-screen"): buffer_body(),
            (CAPTURES.plural, "goal"): capture_body() | {"status": {"clip": clip}},
            (CAPTURES.plural, "young"): capture_body(name="young"),
            (CAPTURES.plural, "away"): capture_body(name="away")
            | {"status": {"clip": clip | {"url": BUCKET_URL}, "upload": {"localCopy": "Dropped"}}},
        }
        self.asked: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.refusal: ClusterError | None = None

    async def named(self, type_: ResourceType, namespace: str, name: str) -> dict[str, Any] | None:
        self.asked.append(f"{namespace}/{name}")
        if name == "broken":
            raise OSError("10.0.0.1 refuses")
        return self.known.get((type_.plural, name))

    async def create(self, type_: ResourceType, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (type_, namespace) == (CAPTURES, "team")
        if self.refusal is not None:
            raise self.refusal
        self.made.append(body)
        return body | {"metadata": body["metadata"] | {"name": f"{body['metadata']['generateName']}x7k2p"}}


class BackEnd:
    """Asks for addresses."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secrets: Path) -> None:
        self.session, self.url, self.secrets = session, url, secrets
        self.objects = KnownObjects()
        self.metrics = OperatorMetrics()

    async def ask(
        self, path: str, body: str = "", *, token: str | None = TOKEN, method: str = "POST"
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(method, self.url + path, headers=headers, data=body) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, await answer.json(content_type=None)


def settings_for(secrets: Path, **more: Any) -> OperatorSettings:
    return OperatorSettings(
        POD_NAMESPACE="team",
        capture_image="image",
        agent_token_directory=secrets,
        preview_api_token_directory=secrets / "api",
        **{"preview_url": "https://replay.example.org/see/", "preview_address_seconds": 60} | more,
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "token").write_text(TOKEN)
    (tmp_path / "preview-key").write_bytes(KEY.secret)
    return tmp_path


@pytest.fixture
async def back_end(secrets: Path) -> AsyncIterator[BackEnd]:
    port = free_port()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        made = BackEnd(session, f"http://127.0.0.1:{port}", secrets)
        settings = settings_for(secrets, preview_api_port=port)
        await stack.enter_async_context(preview_api(settings, made.objects, lambda: NOW, made.metrics))
        yield made


async def test_the_address_of_a_buffer_opens_that_buffer_for_as_long_as_it_says(back_end: BackEnd) -> None:
    status, answer = await back_end.ask("/v1/buffers/alice-screen/preview")

    assert (status, answer["expiresAt"]) == (200, "2026-11-23T14:01:00Z")
    path, _, query = answer["url"].partition("?")
    assert path == f"https://replay.example.org/see/v1/preview/{BUFFER_UID}/playlist.m3u8"
    sent = dict(part.split("=", 1) for part in query.split("&"))
    check_address([KEY], Scope("buffer", BUFFER_UID), sent, NOW)
    assert int(sent["expires"]) == int((NOW + timedelta(seconds=60)).timestamp())
    assert back_end.objects.asked == ["team/alice-screen"]
    # For a person: the agent's page, which keeps the address away from logs and from Referer.
    assert answer["pageUrl"] == answer["url"].replace("/see/v1/", "/see/#v1/")


async def test_the_address_of_a_clip_opens_that_clip(back_end: BackEnd) -> None:
    status, answer = await back_end.ask("/v1/captures/goal/download")

    assert status == 200
    path, _, query = answer["url"].partition("?")
    assert path.endswith("/see/v1/clips/team/user%2042/2026-11-22/goal-0d4f7d3c.mp4")
    assert "pageUrl" not in answer
    check_address([KEY], Scope("clip", CLIP), dict(part.split("=", 1) for part in query.split("&")), NOW)


MARKED = '{"start": "2026-11-23T13:50:01.25Z", "end": "2026-11-23T14:51:02.500+01:00"}'


async def test_what_was_marked_becomes_a_capture_of_exactly_that_range(back_end: BackEnd) -> None:
    status, answer = await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)

    assert (status, answer) == (201, {"name": "alice-screen-x7k2p"})
    (made,) = back_end.objects.made
    assert (made["apiVersion"], made["kind"]) == ("replaybuffer.dev/v1alpha1", "ReplayCapture")
    spec = ReplayCaptureSpec.model_validate(made["spec"])
    assert spec.buffer_ref.name == "alice-screen"
    assert spec.range.last is None
    assert spec.range.between is not None
    assert spec.range.between.start == datetime(2026, 11, 23, 13, 50, 1, 250_000, tzinfo=UTC)
    assert spec.range.between.end == datetime(2026, 11, 23, 13, 51, 2, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"start": "now", "end": "then"}', MARKED.replace("Z", "").replace("+01:00", "")],
)
async def test_a_range_that_is_none_makes_no_capture(back_end: BackEnd, body: str) -> None:
    status, answer = await back_end.ask("/v1/buffers/alice-screen/captures", body)
    assert (status, "RFC 3339" in answer["detail"]) == (400, True)
    assert back_end.objects.made == []


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        (Forbidden(403, "POST: user cannot", {"message": "of 10.0.0.1"}), 403, "create on replaycaptures"),
        (ClusterError(422, "POST: no", {"message": "at most four hours long"}), 422, "four hours"),
        (ClusterUnreachable(503, "10.0.0.1 refuses"), 503, "try again"),
    ],
)
async def test_a_capture_that_kubernetes_refuses_is_told_as_such(
    back_end: BackEnd, refusal: ClusterError, status: int, words: str
) -> None:
    back_end.objects.refusal = refusal
    found, answer = await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)
    assert found == status
    assert words in answer["detail"]
    assert "10.0.0.1" not in answer["detail"]


async def test_who_has_no_token_saves_nothing(back_end: BackEnd) -> None:
    status, _ = await back_end.ask("/v1/buffers/alice-screen/captures", MARKED, token="another")
    assert (status, back_end.objects.made) == (401, [])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/buffers/nobody/preview", 404),
        ("/v1/buffers/nobody/captures", 404),
        ("/v1/buffers/goal/preview", 404),
        ("/v1/captures/young/download", 409),
        ("/v1/buffers/broken/preview", 503),
        ("/v1/elsewhere", 404),
    ],
)
async def test_what_cannot_be_answered_has_a_sentence_and_nothing_from_inside(
    back_end: BackEnd, path: str, status: int
) -> None:
    found, answer = await back_end.ask(path)
    assert (found, answer["status"]) == (status, status)
    assert answer["detail"]
    assert "10.0.0.1" not in answer["detail"]


async def test_a_clip_that_is_in_object_storage_only_has_no_address_here(back_end: BackEnd) -> None:
    status, answer = await back_end.ask("/v1/captures/away/download")
    assert status == 409
    assert BUCKET_URL in answer["detail"]


@pytest.mark.parametrize("name", ["a%2Cmetadata.name!%3Db", "..%2Fx", "UPPER", "a%20b", "x" * 254, "%00"])
async def test_the_api_server_is_asked_for_names_alone(back_end: BackEnd, name: str) -> None:
    status, _ = await back_end.ask(f"/v1/buffers/{name}/preview")
    assert status == 404
    assert back_end.objects.asked == []


@pytest.mark.parametrize("token", [None, "another"])
async def test_who_has_no_token_gets_no_address(back_end: BackEnd, token: str | None) -> None:
    status, answer = await back_end.ask("/v1/buffers/alice-screen/preview", token=token)
    assert (status, "url" in answer) == (401, False)
    assert back_end.objects.asked == []


async def test_only_asking_makes_an_address(back_end: BackEnd) -> None:
    assert (await back_end.ask("/v1/buffers/alice-screen/preview", method="GET"))[0] == 405


async def test_the_description_is_valid_openapi_and_its_answers_keep_to_it(back_end: BackEnd) -> None:
    async with back_end.session.get(f"{back_end.url}/openapi.json") as answer:
        document = await answer.json()
    validate(document)
    served = {path: set(item) for path, item in document["paths"].items()}
    paths = ("buffers/{name}/preview", "buffers/{name}/captures", "captures/{name}/download")
    assert served == {f"/v1/{path}": {"post"} for path in paths}
    for path in ("/v1/buffers/alice-screen/preview", "/v1/captures/goal/download"):
        _, told = await back_end.ask(path)
        described = document["components"]["schemas"]["SignedAddress"]
        assert set(described["required"]) <= set(told) <= set(described["properties"])
    saving = document["paths"]["/v1/buffers/{name}/captures"]["post"]
    assert set(saving["responses"]) == {"201", "400", "401", "403", "404", "422", "503"}
    assert saving["requestBody"]["required"]
    _, told = await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)
    assert set(told) == set(document["components"]["schemas"]["SavedCapture"]["properties"])
    statuses = {"200", "401", "404", "409", "503"}
    assert set(document["paths"]["/v1/captures/{name}/download"]["post"]["responses"]) == statuses


async def test_the_page_for_people_needs_no_token_and_runs_nothing(back_end: BackEnd) -> None:
    async with back_end.session.get(f"{back_end.url}/") as answer:
        text = await answer.text()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "POST /v1/captures/{name}/download" in text
    assert 'It is sent as JSON: <a href="#BetweenRange">' in text
    assert "<script" not in text


async def test_the_key_of_before_does_not_sign(back_end: BackEnd) -> None:
    (back_end.secrets / "preview-key").rename(back_end.secrets / "previous-preview-key")
    status, answer = await back_end.ask("/v1/buffers/alice-screen/preview")
    assert status == 503
    assert "preview-key" in answer["detail"]


async def test_the_rotation_that_is_documented_refuses_no_address_whichever_mount_comes_first(
    back_end: BackEnd, tmp_path: Path
) -> None:
    following = SigningKey(b"a-secret-that-nobody-guesses-0002")
    steps = ((KEY,), (KEY, following), (following, KEY), (following,))
    agent = tmp_path / "agent"
    agent.mkdir()
    accepted = AddressKeys(agent)
    for before, after in pairwise(steps):
        for of_operator, of_agent in ((before, before), (after, before), (before, after), (after, after)):
            mount(back_end.secrets, of_operator)
            mount(agent, of_agent)
            _, answer = await back_end.ask("/v1/buffers/alice-screen/preview")
            check_address(accepted.current(), Scope("buffer", BUFFER_UID), URL(answer["url"]).query, NOW)


def mount(directory: Path, keys: tuple[SigningKey, ...]) -> None:
    """What the kubelet does, at its own time on each node."""
    for name in KEY_FILES:
        (directory / name).unlink(missing_ok=True)
    for name, key in zip(KEY_FILES, keys, strict=False):
        (directory / name).write_bytes(key.secret)


async def test_no_address_is_logged(back_end: BackEnd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    _, answer = await back_end.ask("/v1/buffers/alice-screen/preview")
    assert answer["url"].rpartition("=")[2] not in caplog.text


def counted(metrics: OperatorMetrics) -> dict[tuple[str, str], float]:
    """How many requests there were of each sort, those that never came left out."""
    sorts = product(
        ("preview", "save", "download", "other"), ("ok", "refused", "missing", "invalid", "failed")
    )
    found = {
        (what, result): metrics.registry.get_sample_value(
            "replay_operator_preview_requests_total", {"what": what, "result": result}
        )
        for what, result in sorts
    }
    assert None not in found.values(), "a rate does not see a series begin"
    return {sort: number for sort, number in found.items() if number}


async def test_each_request_is_counted_by_what_was_asked_for_and_what_came_of_it(back_end: BackEnd) -> None:
    assert counted(back_end.metrics) == {}
    await back_end.ask("/v1/buffers/alice-screen/preview")
    await back_end.ask("/v1/buffers/alice-screen/preview", token="another")
    await back_end.ask("/v1/buffers/nobody/preview")
    await back_end.ask("/v1/buffers/broken/preview")
    await back_end.ask("/v1/captures/goal/download")
    for no_clip_here in ("young", "away"):
        await back_end.ask(f"/v1/captures/{no_clip_here}/download")
    await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)
    await back_end.ask("/v1/buffers/alice-screen/captures", "{}")
    back_end.objects.refusal = ClusterError(422, "POST: no", {"message": "at most four hours long"})
    await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)
    back_end.objects.refusal = Forbidden(403, "POST: user cannot", {})
    await back_end.ask("/v1/buffers/alice-screen/captures", MARKED)
    await back_end.ask("/v1/elsewhere")
    await back_end.ask("/v1/buffers/alice-screen/preview", method="GET")

    assert counted(back_end.metrics) == {
        ("preview", "ok"): 1,
        ("preview", "refused"): 1,
        ("preview", "missing"): 1,
        ("preview", "failed"): 1,
        ("download", "ok"): 1,
        ("download", "missing"): 2,
        ("save", "ok"): 1,
        ("save", "invalid"): 2,
        ("save", "failed"): 1,
        ("other", "missing"): 1,
        ("other", "invalid"): 1,
    }


@pytest.mark.parametrize("lacking", ["token", "url"])
async def test_without_a_token_or_a_url_nothing_is_handed_out_and_the_log_says_so(
    secrets: Path, lacking: str, caplog: pytest.LogCaptureFixture
) -> None:
    if lacking == "token":
        (secrets / "api" / "token").unlink()
    port = free_port()
    more = {"preview_url": None} if lacking == "url" else {}
    settings = settings_for(secrets, preview_api_port=port, **more)
    serving = preview_api(settings, KnownObjects(), lambda: NOW, OperatorMetrics())
    async with serving, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{port}/")
    assert "no addresses are handed out" in caplog.text

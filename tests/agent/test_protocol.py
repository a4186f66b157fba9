"""Who may speak to the agent, and which policy wins."""

from __future__ import annotations

import json

import pytest

from tests.agent.rig import BUFFER, TOKEN, Rig, buffer_policy, policy


async def test_an_older_policy_is_refused_with_the_one_in_force(rig: Rig) -> None:
    assert await rig.put("/v1/policy", policy(epoch=2, seq=5)) == (200, {"epoch": 2, "seq": 5})

    assert await rig.put("/v1/policy", policy(epoch=2, seq=4)) == (409, {"epoch": 2, "seq": 5})
    assert await rig.put("/v1/policy", policy(epoch=1, seq=9)) == (409, {"epoch": 2, "seq": 5})


async def test_a_new_leader_may_count_from_the_start_again(rig: Rig) -> None:
    await rig.put("/v1/policy", policy(epoch=2, seq=5))

    assert await rig.put("/v1/policy", policy(epoch=3, seq=1)) == (200, {"epoch": 3, "seq": 1})


async def test_the_same_policy_again_is_accepted(rig: Rig) -> None:
    await rig.put("/v1/policy", policy(epoch=2, seq=5))

    assert await rig.put("/v1/policy", policy(epoch=2, seq=5)) == (200, {"epoch": 2, "seq": 5})


async def test_coverage_names_the_policy_in_force(rig: Rig) -> None:
    await rig.put("/v1/policy", policy(epoch=2, seq=5))

    answer = await rig.coverage()

    assert (answer["epoch"], answer["seq"]) == (2, 5)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/policy"), ("PUT", f"/v1/runs/{BUFFER}/r"), ("GET", "/v1/coverage")]
)
async def test_the_protocol_needs_a_good_token(
    rig: Rig, method: str, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    async with rig.client.request(method, path, headers=headers, data=b"{}") as answer:
        assert answer.status == 401
        assert TOKEN not in await answer.text()
    assert not list(rig.volume.glob("[!.]*"))


async def test_both_tokens_are_good_during_a_rotation_and_the_old_one_only_until_its_end(rig: Rig) -> None:
    (rig.token_directory / "previous-token").write_text(TOKEN)
    (rig.token_directory / "token").write_text("the-next-token")
    assert (await rig.put("/v1/policy", policy(), token=TOKEN))[0] == 200
    assert (await rig.put("/v1/policy", policy(), token="the-next-token"))[0] == 200

    (rig.token_directory / "previous-token").unlink()

    assert (await rig.put("/v1/policy", policy(), token=TOKEN))[0] == 401
    assert (await rig.put("/v1/policy", policy(), token="the-next-token"))[0] == 200


async def test_an_empty_token_file_lets_nobody_in(rig: Rig) -> None:
    (rig.token_directory / "token").write_text("\n")

    async with rig.client.get("/v1/coverage", headers={"Authorization": "Bearer "}) as answer:
        assert answer.status == 401
    assert (await rig.ready())[0] == 503


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        json.dumps(policy(buffer_policy("../../etc"))).encode(),
        json.dumps(policy(buffer_policy("one-part"))).encode(),
        json.dumps(policy(buffer_policy("a/b/c"))).encode(),
        json.dumps(policy(buffer_policy(), buffer_policy())).encode(),
        json.dumps(policy(buffer_policy(windowSeconds=-1))).encode(),
    ],
)
async def test_a_bad_policy_is_refused_with_a_sentence_and_changes_nothing(rig: Rig, body: bytes) -> None:
    await rig.put_policy(buffer_policy(), seq=7)

    status, answer = await rig.put("/v1/policy", body)

    assert status == 400
    assert len(answer["error"].split()) > 3
    assert (await rig.coverage())["seq"] == 7


async def test_a_body_without_bound_is_refused(rig: Rig) -> None:
    async with rig.client.put(
        "/v1/policy", data=b" " * (16 * 1024 * 1024 + 1), headers={"Authorization": f"Bearer {TOKEN}"}
    ) as answer:
        assert answer.status == 413


async def test_metrics_tell_bytes_segments_and_policy_age(rig: Rig) -> None:
    writer = await rig.put_run()
    writer.record(3)
    await rig.agent.scan()
    assert (await rig.metrics())["replay_agent_policy_age_seconds"] == float("inf")
    await rig.put_policy(buffer_policy())
    rig.clock.advance(5)

    metrics = await rig.metrics()

    on_disk = sum(f.stat().st_size for f in writer.directory.glob("*.ts"))
    assert metrics['replay_buffer_storage_bytes{type="temp"}'] == on_disk
    assert metrics["replay_agent_segments"] == 3
    assert metrics["replay_agent_buffers"] == 1
    assert metrics["replay_agent_policy_age_seconds"] == 5
    assert metrics["replay_agent_scan_seconds_count"] == 2


async def test_health_and_readiness_need_no_token(rig: Rig) -> None:
    async with rig.client.get("/healthz") as answer:
        assert answer.status == 200
    assert await rig.ready() == (200, "ok\n")


async def test_an_agent_that_has_not_looked_yet_tells_of_no_full_volume_and_of_every_reason(rig: Rig) -> None:
    metrics = await rig.metrics()
    assert metrics["replay_agent_volume_full_seconds"] == float("inf")
    assert metrics['replay_agent_deleted_bytes_total{reason="window"}'] == 0
    assert metrics['replay_agent_deleted_segments_total{reason="orphan"}'] == 0

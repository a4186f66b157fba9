"""Whatever is sent to the agent: it answers with a sentence, goes on working, and stays on its volumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiohttp.test_utils import BaseTestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replay_operator.agent.ownership import STATE_DIRECTORY
from replay_operator.agent.policy_book import POLICY_FILE
from replay_operator.agent.scan import HIGHEST_INDICES_FILE
from tests.agent.rig import (
    BUFFER,
    RUN,
    TOKEN,
    EgressWriter,
    Rig,
    buffer_policy,
    make_rig,
    pin,
    policy,
    run_file,
)
from tests.odd_values import anything, moments, numbers, path_parts
from tests.raw_http import ask

# One agent takes them all, as it would: an example must not spoil it for those that follow.
one_agent = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

AUTHORIZED = {b"Authorization": f"Bearer {TOKEN}".encode(), b"Content-Type": b"application/json"}


def server_of(rig: Rig) -> BaseTestServer:
    server = rig.client.server
    assert isinstance(server, BaseTestServer)
    return server


def outside(rig: Rig) -> dict[Path, int]:
    """What lies beside the buffer volume, and when it was last changed."""
    root = rig.volume.parent
    inside = (rig.volume, *rig.volume.rglob("*"))
    return {path: path.lstat().st_mtime_ns for path in root.rglob("*") if path not in inside}


async def assert_it_goes_on(rig: Rig) -> None:
    """Everything that the agent does in its loops, and what it tells others."""
    rig.clock.advance(61)  # all directories are listed again
    await rig.agent.scan()
    await rig.agent.maintain()
    await rig.agent.keep_floor()
    await rig.agent.sweep_archive()
    assert (await rig.ready())[0] == 200
    await rig.asked_coverage()
    await rig.metrics()


pins = st.fixed_dictionaries({"captureUid": st.text(max_size=40), "start": moments, "end": moments})
policies = st.fixed_dictionaries(
    {
        "epoch": st.just(0),
        "seq": numbers,
        "complete": st.booleans(),
        "buffers": st.lists(
            st.fixed_dictionaries(
                {
                    "path": st.sampled_from([BUFFER, "team-a/other", "../x", "a/../b", "/etc/x", "a", ""])
                    | st.text(max_size=30),
                    "windowSeconds": numbers,
                    "slackSeconds": numbers,
                    "segmentSeconds": numbers,
                },
                optional={
                    "frozenAt": moments,
                    "expiresAt": moments,
                    "forgetBefore": moments,
                    "maxBytes": numbers,
                    "pins": st.lists(pins, max_size=3),
                },
            ),
            max_size=3,
        ),
    },
    optional={"liveCaptures": st.none() | st.lists(st.text(max_size=12), max_size=3)},
)


@one_agent
@example(body=policy(buffer_policy(windowSeconds=10**30)))
@example(body=policy(buffer_policy(frozenAt="0001-01-01T00:00:00Z")))
@example(body=policy(buffer_policy(frozenAt="9999-12-31T23:59:59-23:59")))
@example(body=policy(buffer_policy(pins=[pin(0, 1) | {"start": "0001-01-01T00:00:00+23:59"}])))
@given(body=policies)
async def test_no_policy_stops_the_agent(rig: Rig, body: dict[str, Any]) -> None:
    if not rig.files():
        (await rig.put_run()).record(2)
    # Always a newer one, or the first extreme number would have all others refused.
    body = {**body, "epoch": rig.agent.ack.epoch + 1}
    status, answer = await rig.put("/v1/policy", body)
    assert status in (200, 400, 409), answer
    await assert_it_goes_on(rig)


@one_agent
@example(body=run_file(mediaStartedAtNs=2**63))
@example(body=run_file(mediaStartedAtNs=-(10**40)))
@example(body=run_file(segmentSeconds=10**18))
@example(body=run_file(segmentSeconds=0))
@given(
    body=st.fixed_dictionaries(
        {"room": st.text(max_size=20), "buffer": st.text(max_size=20), "segmentSeconds": numbers},
        optional={"mediaStartedAtNs": numbers, "egressId": st.text(max_size=20)},
    )
)
async def test_no_description_of_a_run_stops_the_agent(rig: Rig, body: dict[str, Any]) -> None:
    if not rig.files():
        (await rig.put_run()).record(2)
    status, answer = await rig.put(f"/v1/runs/{BUFFER}/{RUN}", body)
    assert status in (200, 400), answer
    await assert_it_goes_on(rig)


def write_run(rig: Rig) -> EgressWriter:
    """A run that somebody else has put on the volume: egress workers mount it too."""
    buffer = rig.volume / BUFFER
    writer = EgressWriter(buffer / f"20261122T120000Z-{len(list(buffer.glob('*'))):08d}", rig.segments)
    writer.directory.mkdir(parents=True)
    return writer


@one_agent
@example(content=json.dumps(run_file(mediaStartedAtNs=10**30)).encode())
@example(content=json.dumps(run_file(segmentSeconds=10**18)).encode())
@example(content=b"[" * 2000)
@given(content=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
async def test_no_run_file_on_the_volume_stops_the_agent(rig: Rig, content: bytes) -> None:
    writer = write_run(rig)
    writer.record(1)
    (writer.directory / "run.json").write_bytes(content)
    await assert_it_goes_on(rig)


PLAYLIST = """#EXTM3U
#EXT-X-TARGETDURATION:15
#EXT-X-PROGRAM-DATE-TIME:{moment}
#EXTINF:2.000,
seg_{index}.ts
"""


@one_agent
@example(text=PLAYLIST.format(moment="0001-01-01T00:00:00Z", index="00001"))
@example(text=PLAYLIST.format(moment="9999-12-31T23:59:59-23:59", index="00001"))
@example(text=PLAYLIST.format(moment="2026-11-22T12:00:00Z", index="999999999"))
@given(
    text=st.builds(
        PLAYLIST.format, moment=moments | st.text(max_size=9), index=st.text("0123456789", max_size=9)
    )
    | st.text()
)
async def test_no_playlist_on_the_volume_stops_the_agent(rig: Rig, text: str) -> None:
    writer = write_run(rig)
    writer.copy(0, 1)
    writer.directory.joinpath("index.m3u8").write_bytes(text.encode(errors="replace"))
    await assert_it_goes_on(rig)


@one_agent
@example(content=b"[" * 2000)
@example(content=json.dumps(policy(buffer_policy(windowSeconds=10**30))).encode())
@example(content=json.dumps({f"{BUFFER}/{RUN}": 10**40}).encode())
@given(content=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
async def test_no_state_on_the_volume_stops_the_agent_that_takes_it_over(rig: Rig, content: bytes) -> None:
    await rig.agent.close()
    for name in (POLICY_FILE, HIGHEST_INDICES_FILE):
        (rig.volume / STATE_DIRECTORY / name).write_bytes(content)
    following = make_rig(rig.volume, rig.token_directory, rig.segments, rig.clock)
    try:
        await following.agent.scan()
        await following.agent.maintain()
        assert following.agent.owns_volume
    finally:
        await following.agent.close()


@one_agent
@example(method=b"POST", path="/v1/clips/delete", body=b'{"path": "' + b"a" * 400 + b'"}')
@given(
    method=st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"OPTIONS"]),
    path=st.sampled_from(["/v1/policy", f"/v1/runs/{BUFFER}/r", "/v1/clips/delete", "/v1/coverage?since=x.9"])
    | st.lists(path_parts, max_size=5).map(lambda parts: "/v1/runs/" + "/".join(parts)),
    body=st.binary(max_size=40) | anything.map(lambda value: json.dumps(value).encode()),
)
async def test_no_request_leaves_the_volume_or_breaks_the_agent(
    rig: Rig, method: bytes, path: str, body: bytes
) -> None:
    before = outside(rig)
    status, answer = await ask(server_of(rig), path.encode(), method=method, headers=AUTHORIZED, body=body)
    assert 200 <= status < 500, (status, answer)
    assert outside(rig) == before


clip_paths = st.lists(
    st.sampled_from(["..", ".", "", "team-a", "buffer", ".x", "a" * 300, "\0", "é" * 200]), max_size=4
).map("/".join)


@one_agent
@example(path="a" * 300 + "-capture-.mp4")
@example(path="é" * 200 + "-capture-.mp4")
@example(path="team-a/" + "b" * 300 + "/goal-capture-.mp4")
@given(path=clip_paths.map(lambda path: f"{path}/goal-capture-.mp4") | st.text(max_size=60))
async def test_no_path_of_a_clip_leaves_the_archive(rig: Rig, path: str) -> None:
    precious = rig.volume.parent / "goal-capture-.mp4"
    precious.write_bytes(b"precious")
    body = json.dumps({"path": path, "captureUid": "capture-1"}, ensure_ascii=False).encode(errors="replace")
    status, answer = await ask(
        server_of(rig), b"/v1/clips/delete", method=b"POST", headers=AUTHORIZED, body=body
    )
    assert status in (200, 400, 409), (status, answer)
    assert precious.read_bytes() == b"precious"


# Others aiohttp refuses itself, and says so in the log at length.
CONTROL_BYTES = bytes([*range(9), *range(10, 32), 127])
header_bytes = st.binary(max_size=60).map(lambda raw: raw.translate(None, CONTROL_BYTES))


@one_agent
@example(authorization=b"Bearer \xff\xfe")
@example(authorization="Bearer é".encode())
@given(authorization=header_bytes | header_bytes.map(lambda token: b"Bearer " + token))
async def test_no_other_token_opens_the_agent(rig: Rig, authorization: bytes) -> None:
    status, answer = await ask(
        server_of(rig), b"/v1/coverage", headers={b"Authorization": authorization, b"Accept": b"*/*"}
    )
    assert status in (400, 401), (status, answer)
    assert b"buffers" not in answer

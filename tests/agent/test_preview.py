"""The preview over HTTP: playlists, segments and clips, and who is not let in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.parts import Preview, is_remote_volume, make_preview
from replay_operator.agent.settings import AgentSettings
from replay_operator.domain.signed_address import Scope, SigningKey, signed_query
from tests.agent.rig import BUFFER, RUN, T0, Client, Rig, after
from tests.unit.hls_rules import ReadPlaylist, assert_may_follow, read_media_playlist

KEY = SigningKey(b"a-secret-that-nobody-guesses-0001")
UID = BUFFER.rpartition("/")[2]
PLAYLIST = f"/v1/preview/{UID}/playlist.m3u8"
SEGMENT = f"/v1/preview/{UID}/segments/{RUN}/seg_00001.ts"
CLIP = "team-a/user-42/2026-11-22/goal-0d4f7d3c.mp4"
ORIGIN = "https://app.example.org"


class Viewer:
    """Somebody with a signed address."""

    def __init__(self, rig: Rig, preview: Preview, client: Client) -> None:
        self.rig, self.preview, self.client = rig, preview, client
        self.address = self.query(lives_seconds=3600)

    def query(self, scope: Scope | None = None, key: SigningKey = KEY, lives_seconds: int = 300) -> str:
        expires_at = after(self.rig.clock.seconds + lives_seconds)
        return signed_query(key, scope or Scope("buffer", UID), expires_at)

    async def get(
        self, path: str, query: str | None = None, **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        # Encoded already: the client must not tidy the path that a test made.
        url = URL(f"{path}?{self.query() if query is None else query}", encoded=True)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get(url, headers=names) as answer:
            return answer.status, await answer.read(), dict(answer.headers)

    async def playlist(self, more: str = "") -> ReadPlaylist:
        status, body, headers = await self.get(PLAYLIST, self.address + more)
        assert status == 200, body
        assert headers["Content-Type"] == "application/vnd.apple.mpegurl"
        return read_media_playlist(body.decode())

    async def clip(self, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        return await self.get(f"/v1/clips/{CLIP}", self.query(Scope("clip", CLIP)), **headers)


async def viewer_of(rig: Rig, *, over_network: bool, **settings: Any) -> Viewer:
    (rig.token_directory / "preview-key").write_bytes(KEY.secret + b"\n")
    chosen = AgentSettings(
        volume=rig.volume,
        archive=rig.archive,
        token_directory=rig.token_directory,
        preview_origins=ORIGIN,
        **settings,
    )
    preview = make_preview(rig.agent, chosen, rig.clock, is_remote=lambda _: over_network)
    server = TestServer(make_preview_app(preview), host="127.0.0.1")
    await server.start_server(access_log=None)  # as the agent's own process does
    client: Client = TestClient(server)
    return Viewer(rig, preview, client)


@pytest.fixture(params=[False, True], ids=["local", "network"])
async def viewer(rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Viewer]:
    made = await viewer_of(rig, over_network=request.param)
    yield made
    await made.client.close()


@pytest.fixture
async def at_network(rig: Rig) -> AsyncIterator[Viewer]:
    made = await viewer_of(rig, over_network=True)
    yield made
    await made.client.close()


async def record(rig: Rig, count: int, *, run: str = RUN, ended: bool = False, **facts: Any) -> Path:
    writer = await rig.put_run(run, **facts)
    writer.record(count, ended=ended)
    rig.clock.advance(1)
    await rig.agent.scan()
    return writer.directory


def keep_clip(rig: Rig) -> bytes:
    content = bytes(range(256)) * 40
    clip = rig.archive / CLIP
    clip.parent.mkdir(parents=True)
    clip.write_bytes(content)
    return content


async def test_a_recording_buffer_is_a_playlist_that_moves_on(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    before = await viewer.playlist()
    await record(rig, 5)
    after_that = await viewer.playlist()

    assert not before.ended
    assert [s.uri.partition("?")[0] for s in after_that.segments] == [
        f"segments/{RUN}/seg_{index:05d}.ts" for index in range(5)
    ]
    assert_may_follow(before, after_that)
    assert {s.discontinuity for s in after_that.segments} == {before.segments[0].discontinuity}


async def test_the_times_come_from_the_packets_and_the_clock_of_the_run(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)

    found = (await viewer.playlist()).segments

    assert [round(s.seconds, 3) for s in found] == [2.0, 2.0, 2.0]
    for index, segment in enumerate(found):
        assert abs((segment.at - T0).total_seconds() - 2 * index) < 0.1
    assert after(-0.05) < found[0].at < T0, "the first sample is sound, which encoders begin early"


async def test_each_address_in_the_playlist_gives_its_segment(rig: Rig, viewer: Viewer) -> None:
    directory = await record(rig, 3)

    for index, segment in enumerate((await viewer.playlist()).segments):
        path, _, query = segment.uri.partition("?")
        status, body, headers = await viewer.get(f"/v1/preview/{UID}/{path}", query)
        assert (status, headers["Content-Type"]) == (200, "video/mp2t")
        assert body == (directory / f"seg_{index:05d}.ts").read_bytes()
        assert headers["Cache-Control"] == "no-store"


async def test_viewers_share_a_playlist_and_each_has_addresses_of_its_own(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    ours = await viewer.playlist()
    address = viewer.query(lives_seconds=1800)
    _, body, headers = await viewer.get(PLAYLIST, address + "&more=%0Athing")

    theirs = read_media_playlist(body.decode())
    assert [s.number for s in theirs.segments] == [s.number for s in ours.segments]
    assert {s.uri.partition("?")[2] for s in theirs.segments} == {address}
    assert {s.uri.partition("?")[2] for s in ours.segments} == {viewer.address}
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_next_run_follows_after_a_break_with_its_own_clock(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3, ended=True)
    later_ns = int(after(30).timestamp()) * 1_000_000_000
    await record(rig, 2, run="20261122T120030Z-ab12cd34", mediaStartedAtNs=later_ns)

    found = (await viewer.playlist()).segments

    first = found[0].discontinuity
    assert [s.discontinuity - first for s in found] == [0, 0, 0, 1, 1]
    assert abs((found[3].at - after(30)).total_seconds()) < 0.1


async def test_what_is_deleted_leaves_the_playlist_at_its_beginning(rig: Rig, viewer: Viewer) -> None:
    directory = await record(rig, 6)
    before = await viewer.playlist()
    for index in (0, 1):
        (directory / f"seg_{index:05d}.ts").unlink()
    rig.clock.advance(60)
    await rig.agent.scan()

    after_that = await viewer.playlist()

    assert_may_follow(before, after_that)
    assert after_that.segments == before.segments[2:]
    assert (await viewer.get(f"/v1/preview/{UID}/segments/{RUN}/seg_00000.ts"))[0] == 404


async def test_a_buffer_that_has_long_been_silent_has_ended(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3, ended=True)
    assert not (await viewer.playlist()).ended, "the next run may follow within seconds"
    rig.clock.advance(121)
    await rig.agent.scan()
    assert (await viewer.playlist()).ended


async def test_a_range_is_a_playlist_with_an_end(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 6)

    def query(start: datetime, end: datetime) -> str:
        return f"&start={start.isoformat()}&end={end.isoformat()}".replace("+", "%2B")

    found = await viewer.playlist(query(after(3), after(7)))

    assert [s.uri.partition("?")[0][-12:] for s in found.segments] == [
        "seg_00001.ts",
        "seg_00002.ts",
        "seg_00003.ts",
    ]
    assert found.ended
    assert found.tags["PLAYLIST-TYPE"] == "VOD"
    assert found.tags["START"] == "TIME-OFFSET=1.000000,PRECISE=YES"
    status, _, _ = await viewer.get(PLAYLIST, viewer.query() + query(after(500), after(600)))
    assert status == 404


@pytest.mark.parametrize(
    "more",
    [
        "&start=now&end=then",
        "&start=2026-11-22T12:00:00Z",
        "&start=2026-11-22T12:00:00&end=2026-11-22T12:00:09",
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(rig: Rig, viewer: Viewer, more: str) -> None:
    await record(rig, 3)
    assert (await viewer.get(PLAYLIST, viewer.query() + more))[0] == 400


async def test_without_an_index_the_playlist_is_made_all_the_same(rig: Rig, viewer: Viewer) -> None:
    directory = await record(rig, 3)
    (directory / "segments.index").unlink()
    assert len((await viewer.playlist()).segments) == 3


@pytest.mark.parametrize("path", [PLAYLIST, SEGMENT, f"/v1/clips/{CLIP}"])
async def test_without_a_good_address_nobody_is_let_in(
    rig: Rig, viewer: Viewer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    await record(rig, 3)
    keep_clip(rig)
    caplog.set_level("DEBUG")
    scope = Scope("clip", CLIP) if "clips" in path else Scope("buffer", UID)
    good = viewer.query(scope)
    refused = {
        "none": "",
        "of another buffer": viewer.query(Scope("buffer", "11111111-6c8e-4f65-9df2-3a1f0f8f7f10")),
        "of another clip": viewer.query(Scope("clip", "team-a/user-42/2026-11-22/own-0d4f7d3c.mp4")),
        "of the other kind": viewer.query(
            Scope("clip" if scope.kind == "buffer" else "buffer", scope.subject)
        ),
        "of another key": viewer.query(scope, SigningKey(b"a-secret-that-nobody-guesses-0009")),
        "forged": good[:-3] + ("AAA" if not good.endswith("AAA") else "BBB"),
        "expired": viewer.query(scope, lives_seconds=0),
        "for ever": viewer.query(scope, lives_seconds=86_400),
    }
    for what, query in refused.items():
        status, body, _ = await viewer.get(path, query)
        assert status == 403, what
        assert b"error" in body
    assert (await viewer.get(path, good))[0] == 200
    for query in (*refused.values(), good):
        assert not query or query.rpartition("=")[2] not in caplog.text
    assert KEY.secret.decode() not in caplog.text


async def test_a_bearer_token_opens_nothing_here_and_nothing_of_the_protocol_is_here(
    rig: Rig, viewer: Viewer
) -> None:
    await record(rig, 3)
    assert (await viewer.get(PLAYLIST, "", Authorization="Bearer the-token"))[0] == 403
    for path in ("/v1/coverage", "/v1/volume", "/metrics", "/v1/policy"):
        assert (await viewer.get(path, "", Authorization="Bearer the-token"))[0] == 404


async def test_two_keys_are_good_during_a_rotation_and_a_short_one_never_is(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    following = SigningKey(b"a-secret-that-nobody-guesses-0002")
    (rig.token_directory / "previous-preview-key").write_bytes(KEY.secret)
    (rig.token_directory / "preview-key").write_bytes(following.secret)
    for key in (KEY, following):
        assert (await viewer.get(PLAYLIST, viewer.query(key=key)))[0] == 200

    (rig.token_directory / "previous-preview-key").write_bytes(b"short")

    assert (await viewer.get(PLAYLIST, viewer.query()))[0] == 403
    assert (await viewer.get(PLAYLIST, viewer.query(key=following)))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/preview/{UID}/segments/{RUN}/..%2F..%2Fsecret.ts",
        f"/v1/preview/{UID}/segments/{RUN}/%2e%2e/secret.ts",
        f"/v1/preview/{UID}/segments/..%2F{RUN}/seg_00001.ts",
        f"/v1/preview/{UID}/segments/../segments/{RUN}/run.json",
        f"/v1/preview/{UID}/segments/{RUN}/run.json",
        f"/v1/preview/{UID}/segments/{RUN}/segments.index",
        f"/v1/preview/{UID}/segments/{RUN}/seg_1.ts",
        f"/v1/preview/{UID}/segments/{RUN}/seg_000001.ts",
        f"/v1/preview/{UID}/segments/{RUN}/seg_00001.ts%00.mp4",
        f"/v1/preview/{UID}/segments/{RUN}/%2Fetc%2Fpasswd",
        f"/v1/preview/{UID}/segments//{RUN}/seg_00001.ts",
        f"/v1/preview/{UID}/segments/{RUN}/seg_00009.ts",
    ],
)
async def test_nothing_but_complete_segments_of_that_buffer_can_be_reached(
    rig: Rig, viewer: Viewer, path: str
) -> None:
    await record(rig, 3)
    (rig.volume / "secret.ts").write_bytes(b"secret")
    (rig.volume / BUFFER / "secret.ts").write_bytes(b"secret")
    status, body, _ = await viewer.get(path)
    assert status == 404
    assert b"secret" not in body


@pytest.mark.parametrize(
    "path",
    [
        "../../secret.mp4",
        "..%2F..%2Fsecret.mp4",
        "/etc/secret.mp4",
        "%2Fetc%2Fsecret.mp4",
        ".hidden.mp4",
        "a.json",
    ],
)
async def test_a_clip_is_below_the_archive_volume_even_where_an_address_says_else(
    rig: Rig, viewer: Viewer, path: str
) -> None:
    keep_clip(rig)
    for place in (rig.archive.parent, rig.archive):
        for name in ("secret.mp4", ".hidden.mp4", "a.json"):
            (place / name).write_bytes(b"secret")
    for subject in (path, path.replace("%2F", "/"), path.replace("../", "")):
        status, body, _ = await viewer.get(f"/v1/clips/{path}", viewer.query(Scope("clip", subject)))
        assert status in (403, 404)
        assert b"secret" not in body


async def test_links_are_not_followed(rig: Rig, viewer: Viewer) -> None:
    directory = await record(rig, 3)
    keep_clip(rig)
    secret = rig.volume.parent / "secret"
    secret.write_bytes(b"secret")
    for name in (directory / "seg_00001.ts", rig.archive / CLIP):
        name.unlink()
        name.symlink_to(secret)
    for status, body, _ in (await viewer.get(SEGMENT), await viewer.clip()):
        assert status == 404
        assert b"secret" not in body


async def test_a_clip_comes_whole_or_in_ranges(rig: Rig, viewer: Viewer) -> None:
    content = keep_clip(rig)

    status, body, headers = await viewer.clip()
    assert (status, body) == (200, content)
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''goal-0d4f7d3c.mp4"

    status, body, headers = await viewer.clip(Range="bytes=100-299")
    assert (status, body) == (206, content[100:300])
    assert headers["Content-Range"] == f"bytes 100-299/{len(content)}"
    assert (await viewer.clip(Range="bytes=-10"))[:2] == (206, content[-10:])
    status, _, headers = await viewer.clip(Range=f"bytes={len(content)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(content)}")


async def test_a_range_of_a_clip_that_has_changed_since_is_not_mixed_with_the_old_one(
    rig: Rig, viewer: Viewer
) -> None:
    content = keep_clip(rig)
    old = "Sun, 22 Nov 2015 12:00:00 GMT"
    assert (await viewer.clip(Range="bytes=100-299", If_Range=old))[:2] == (200, content)


async def test_the_size_of_a_clip_can_be_asked(rig: Rig, viewer: Viewer) -> None:
    content = keep_clip(rig)
    url = URL(f"/v1/clips/{CLIP}?{viewer.query(Scope('clip', CLIP))}", encoded=True)
    async with viewer.client.head(url) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(content)))


async def test_ffmpeg_reads_a_range_frame_by_frame(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 6)
    more = f"&start={after(2):%Y-%m-%dT%H:%M:%SZ}&end={after(8):%Y-%m-%dT%H:%M:%SZ}"
    process = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "error", "-count_packets", "-select_streams", "v"),
        *("-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"),
        str(viewer.client.make_url(f"{PLAYLIST}?{viewer.address}{more}")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert (set(told.split()), complaints) == ({b"90"}, b"")  # once for the program, once for the stream


async def test_no_file_stays_open(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    keep_clip(rig)
    for _ in range(2):
        await viewer.get(SEGMENT)
        await viewer.clip(Range="bytes=1-2")
        await viewer.clip(Range="bytes=999999-")
    # aiohttp closes its own descriptor in a thread, after the answer.
    end = time.monotonic() + 10
    while open_media():
        assert time.monotonic() < end, open_media()
        await asyncio.sleep(0.01)


def open_media() -> list[str]:
    return [name for name in open_files() if name.endswith((".ts", ".mp4"))]


def open_files() -> list[str]:
    """The listed directory itself is open while it is listed, and gone when it is asked for."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return found


async def test_only_pages_of_the_named_origins_may_read(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    for path in (PLAYLIST, SEGMENT):
        _, _, headers = await viewer.get(path, Origin=ORIGIN)
        assert headers["Access-Control-Allow-Origin"] == ORIGIN
        assert headers["Vary"] == "Origin"
        _, _, headers = await viewer.get(path, Origin="https://evil.example.org")
        assert "Access-Control-Allow-Origin" not in headers


async def test_a_network_volume_is_read_once_for_all_viewers(rig: Rig, at_network: Viewer) -> None:
    directory = await record(rig, 3)
    first = await at_network.get(SEGMENT)
    content = (directory / "seg_00001.ts").read_bytes()
    hot = at_network.preview.hot
    assert hot is not None
    assert hot.held_bytes == len(content)

    # Deleted behind the agent's back: whoever still gets it gets it from memory.
    (directory / "seg_00001.ts").unlink()

    assert (await at_network.get(SEGMENT))[:2] == first[:2] == (200, content)
    rig.clock.advance(61)
    assert (await at_network.get(SEGMENT))[0] == 404


async def test_a_segment_that_memory_cannot_hold_is_sent_from_the_file(rig: Rig) -> None:
    viewer = await viewer_of(rig, over_network=True, preview_memory="1000")
    directory = await record(rig, 3)
    try:
        status, body, _ = await viewer.get(SEGMENT)
    finally:
        await viewer.client.close()
    assert (status, body) == (200, (directory / "seg_00001.ts").read_bytes())
    assert viewer.preview.hot is not None
    assert viewer.preview.hot.held_bytes == 0


async def test_a_local_volume_needs_no_memory(rig: Rig) -> None:
    viewer = await viewer_of(rig, over_network=False)
    await viewer.client.close()
    assert viewer.preview.hot is None


async def test_an_agent_that_waits_for_the_volume_shows_nothing_of_it(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    rig.agent.owns_volume = False
    assert (await viewer.get(PLAYLIST))[0] == 503


@pytest.mark.parametrize(
    ("kind", "remote"),
    [
        ("nfs4", True),
        ("ceph", True),
        ("fuse.juicefs", True),
        ("gpfs", True),
        ("ext4", False),
        ("xfs", False),
        ("overlay", False),
    ],
)
def test_the_mount_tells_whether_a_volume_is_on_the_network(
    kind: str, remote: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 0:50 / {tmp_path} rw,relatime - {kind} server:/export rw\n")
    monkeypatch.setattr("replay_operator.agent.volume_facts._MOUNTS", mounts)
    assert is_remote_volume(tmp_path) is remote
    assert is_remote_volume(tmp_path / "absent") is False


async def test_before_the_volume_was_read_nobody_is_told_half_of_it(rig: Rig, viewer: Viewer) -> None:
    await record(rig, 3)
    rig.agent.scanner.scanned_at = None
    assert (await viewer.get(PLAYLIST))[0] == 503

"""Whatever is asked of the preview, also by somebody with a good signature: nothing but media comes out."""

from __future__ import annotations

from datetime import UTC
from urllib.parse import quote, unquote

from aiohttp.test_utils import BaseTestServer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from replay_operator.domain.signed_address import Scope
from tests.agent.rig import RUN, Rig
from tests.agent.test_preview import CLIP, PLAYLIST, UID, Viewer, keep_clip, record, viewer
from tests.odd_values import NASTY_PARTS, moments, path_parts
from tests.raw_http import ask

__all__ = ["viewer"]

one_viewer = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

SECRET = b"nobody may see this"


def server_of(viewer: Viewer) -> BaseTestServer:
    server = viewer.client.server
    assert isinstance(server, BaseTestServer)
    return server


async def seen(
    viewer: Viewer, path: str, query: str, headers: dict[bytes, bytes] | None = None
) -> tuple[int, bytes]:
    """Ask with these very bytes."""
    target = f"{path}?{query}".encode(errors="replace")
    status, answer = await ask(server_of(viewer), target, headers=headers)
    assert 200 <= status < 500, (status, answer)
    assert SECRET not in answer
    assert viewer.rig.volume.parent.as_posix().encode() not in answer
    return status, answer


def keep_secrets(rig: Rig) -> None:
    """Beside the archive, hidden in it, and behind links in it; under names that a clip could have."""
    for place in (rig.volume.parent, rig.volume, rig.archive, rig.archive / ".hidden"):
        place.mkdir(exist_ok=True)
        (place / ("secret.mp4" if place != rig.archive else ".secret.mp4")).write_bytes(SECRET)
        (place / "seg_00001.ts").write_bytes(SECRET)
    for name, target in (("link.mp4", "../secret.mp4"), ("team", ".."), ("full.mp4", "/etc/passwd")):
        if not (rig.archive / name).is_symlink():
            (rig.archive / name).symlink_to(target)


secret_parts = st.sampled_from(
    [*NASTY_PARTS, "secret.mp4", ".secret.mp4", "link.mp4", "full.mp4", "team", "buffer", "archive"]
)


@one_viewer
@example(parts=["..", "secret.mp4"])
@example(parts=["%2e%2e", "secret.mp4"])
@example(parts=["%2e%2e%2fsecret.mp4"])
@example(parts=["team", "secret.mp4"])
@example(parts=["link.mp4"])
@example(parts=["full.mp4"])
@example(parts=["", "etc", "passwd"])
@example(parts=["a" * 300 + ".mp4"])
@given(parts=st.lists(secret_parts | path_parts, min_size=1, max_size=4))
async def test_a_signature_for_any_path_opens_nothing_but_clips(
    rig: Rig, viewer: Viewer, parts: list[str]
) -> None:
    keep_secrets(rig)
    path = "/".join(parts)
    await seen(viewer, f"/v1/clips/{path}", viewer.query(Scope("clip", unquote(path))))


@one_viewer
@example(run="..", file="seg_00001.ts")
@example(run="%2e%2e%2f%2e%2e%2f%2e%2e", file="seg_00001.ts")
@example(run=RUN, file="..%2f..%2f..%2fsecret.mp4")
@example(run=RUN, file="seg_0%D9%A1.ts")
@given(run=st.just(RUN) | secret_parts | path_parts, file=secret_parts | path_parts)
async def test_a_signature_for_a_buffer_opens_nothing_but_its_segments(
    rig: Rig, viewer: Viewer, run: str, file: str
) -> None:
    keep_secrets(rig)
    if not rig.files():
        await record(rig, 2)
    status, answer = await seen(viewer, f"/v1/preview/{UID}/segments/{run}/{file}", viewer.query())
    # Every packet of a segment begins like this.
    assert status != 200 or answer[:1] == b"G"


@one_viewer
@example(start="0001-01-01T00:00:00+23:59", end="9999-12-31T23:59:59-23:59")
@example(start="1e400", end="9e999")
@example(start="-62135596801", end="253402300800")
@given(
    start=moments | st.text(max_size=20) | st.floats().map(str),
    end=moments | st.datetimes(timezones=st.just(UTC)).map(str) | st.text(max_size=20),
)
async def test_any_range_of_a_buffer_is_a_playlist_or_refused(
    rig: Rig, viewer: Viewer, start: str, end: str
) -> None:
    if not rig.files():
        await record(rig, 3)
    times = "&".join(
        f"{name}={quote(time.encode(errors='replace'))}" for name, time in (("start", start), ("end", end))
    )
    status, answer = await seen(viewer, PLAYLIST, f"{viewer.query()}&{times}")
    assert status != 200 or answer.startswith(b"#EXTM3U")


@one_viewer
@example(asked=b"bytes=-0")
@example(asked=b"bytes=5-2")
@example(asked=b"bytes=99999999999999999999999-")
@example(asked=b"bytes=0-,-1")
@example(asked=b"bytes=\xd9\xa1-\xd9\xa2")
@given(
    asked=st.builds(
        lambda unit, first, last: f"{unit}={first}-{last}".encode(),
        st.sampled_from(["bytes", "seconds", ""]),
        st.integers(-5, 20_000) | st.just(""),
        st.integers(-5, 20_000) | st.just(""),
    )
    | st.binary(max_size=20).map(lambda raw: bytes(byte for byte in raw if 32 <= byte < 127))
)
async def test_any_asked_range_of_a_clip_gives_only_its_bytes(rig: Rig, viewer: Viewer, asked: bytes) -> None:
    if not (rig.archive / CLIP).exists():
        keep_clip(rig)
    content = (rig.archive / CLIP).read_bytes()
    query = viewer.query(Scope("clip", CLIP))
    status, answer = await seen(viewer, f"/v1/clips/{CLIP}", query, {b"Range": asked})
    assert status in (200, 206, 416)
    assert status == 416 or answer in content


@one_viewer
@example(query="expires=1&expires=2&signature=%ff")
@example(query="signature=%ED%A0%80&expires=%D9%A1")
@given(query=st.text(max_size=60).map(lambda text: quote(text.encode(errors="replace"), safe="=&%")))
async def test_no_made_up_query_opens_anything(rig: Rig, viewer: Viewer, query: str) -> None:
    if not (rig.archive / CLIP).exists():
        keep_clip(rig)
    for path in (f"/v1/clips/{CLIP}", PLAYLIST):
        assert (await seen(viewer, path, query))[0] in (400, 403)

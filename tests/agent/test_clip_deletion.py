"""The agent deletes a clip when it is told to, and no other file of the archive volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.agent.rig import TOKEN, Rig

UID = "1a2b3c4d-0000-4000-8000-000000000001"
CLIP = "team/alice/2026-11-22/goal-1a2b3c4d.mp4"
STRANGER = "ffffffff-0000-4000-8000-000000000002"


@pytest.fixture
def folder(rig: Rig) -> Path:
    """A clip with all that lies beside it, between clips of others."""
    made = rig.archive / "team/alice/2026-11-22"
    made.mkdir(parents=True)
    for name, uid in (("goal-1a2b3c4d", UID), ("goal-ffffffff", STRANGER)):
        (made / f"{name}.mp4").write_bytes(b"media")
        (made / f"{name}.jpg").write_bytes(b"picture")
        (made / f"{name}.json").write_text(json.dumps({"captureUid": uid}))
    (made / ".goal-1a2b3c4d.mp4.1.part").write_bytes(b"half")
    (made / ".goal-ffffffff.mp4.1.part").write_bytes(b"half")
    (made / "notes.txt").write_bytes(b"somebody's")
    return made


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


OTHERS = {
    "goal-ffffffff.mp4",
    "goal-ffffffff.jpg",
    "goal-ffffffff.json",
    ".goal-ffffffff.mp4.1.part",
    "notes.txt",
}


async def delete(
    rig: Rig, path: str = CLIP, uid: str = UID, *, token: str = TOKEN, how: str = "delete"
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    body = {"path": path, "captureUid": uid}
    async with rig.client.post(f"/v1/clips/{how}", headers=headers, json=body) as answer:
        return answer.status, await answer.json()


async def test_a_clip_goes_with_all_that_lies_beside_it_and_nothing_else_does(rig: Rig, folder: Path) -> None:
    assert await delete(rig) == (200, {})
    assert names(folder) == OTHERS


async def test_a_clip_that_is_dropped_leaves_its_sidecar_and_its_picture(rig: Rig, folder: Path) -> None:
    for _ in range(2):
        assert await delete(rig, how="drop") == (200, {})
        assert names(folder) - OTHERS == {
            "goal-1a2b3c4d.jpg",
            "goal-1a2b3c4d.json",
            ".goal-1a2b3c4d.mp4.1.part",
        }
    assert (await delete(rig, uid=STRANGER, how="drop"))[0] == 409
    assert await delete(rig) == (200, {})
    assert names(folder) == OTHERS


async def test_a_clip_that_is_gone_is_as_good_as_deleted(rig: Rig, folder: Path) -> None:
    await delete(rig)
    assert await delete(rig) == (200, {})
    assert await delete(rig, "team/bob/2026-01-01/other-1a2b3c4d.mp4") == (200, {})
    assert names(folder) == OTHERS


@pytest.mark.parametrize("left", ["sidecar", "sidecar and picture"])
async def test_a_deletion_that_was_cut_short_is_taken_up_again(rig: Rig, folder: Path, left: str) -> None:
    (folder / "goal-1a2b3c4d.mp4").unlink()
    if left == "sidecar":
        (folder / "goal-1a2b3c4d.jpg").unlink()
    assert (await delete(rig))[0] == 200
    assert names(folder) == OTHERS


async def test_what_a_killed_attempt_left_goes_though_no_clip_was_published(rig: Rig, folder: Path) -> None:
    for name in ("goal-1a2b3c4d.mp4", "goal-1a2b3c4d.jpg", "goal-1a2b3c4d.json"):
        (folder / name).unlink()
    (folder / ".goal-1a2b3c4d.jpg.17.part").write_bytes(b"half")
    assert (await delete(rig))[0] == 200
    assert names(folder) == OTHERS


@pytest.mark.parametrize("sidecar", ["another's", "missing", "not JSON"])
async def test_a_clip_without_proof_that_it_is_this_captures_stays(
    rig: Rig, folder: Path, sidecar: str
) -> None:
    file = folder / "goal-1a2b3c4d.json"
    if sidecar == "missing":
        file.unlink()
    else:
        file.write_text(json.dumps({"captureUid": STRANGER}) if sidecar == "another's" else "{")
    before = names(folder)
    status, answer = await delete(rig)
    assert status == 409
    assert len(answer["error"].split()) > 3
    assert names(folder) == before


@pytest.mark.parametrize(
    "path",
    [
        "../outside-1a2b3c4d.mp4",
        "team/../../outside-1a2b3c4d.mp4",
        "team/./../x-1a2b3c4d.mp4",
        "team/.hidden/x-1a2b3c4d.mp4",
        "team/alice/.x-1a2b3c4d.mp4",
        "team/alice/x-1a2b3c4d.mp4/..",
        "team/alice/2026-11-22/goal-ffffffff.mp4",
        "team/alice/2026-11-22/notes.txt",
        "team/alice\x00/x-1a2b3c4d.mp4",
        "",
        ".",
        "/",
    ],
)
async def test_a_path_that_cannot_be_this_captures_clip_is_refused(rig: Rig, folder: Path, path: str) -> None:
    outside = rig.archive.parent / "outside-1a2b3c4d.mp4"
    outside.write_bytes(b"media")
    outside.with_suffix(".json").write_text(json.dumps({"captureUid": UID}))
    before = names(folder)
    assert (await delete(rig, path))[0] == 409
    assert outside.exists()
    assert names(folder) == before


async def test_an_absolute_path_is_refused(rig: Rig, folder: Path) -> None:
    assert (await delete(rig, str(rig.archive / CLIP)))[0] == 409
    assert "goal-1a2b3c4d.mp4" in names(folder)


async def test_no_symbolic_link_is_followed(rig: Rig, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for suffix, content in ((".mp4", "media"), (".json", json.dumps({"captureUid": UID}))):
        (elsewhere / f"goal-1a2b3c4d{suffix}").write_text(content)
    (folder.parent / "linked").symlink_to(elsewhere)
    assert (await delete(rig, "team/alice/linked/goal-1a2b3c4d.mp4"))[0] == 409
    assert (elsewhere / "goal-1a2b3c4d.mp4").exists()


async def test_a_volume_that_is_not_there_is_an_error_and_not_a_clip_that_is_gone(rig: Rig) -> None:
    rig.archive.rmdir()
    status, answer = await delete(rig)
    assert status == 500
    assert "archive volume" in answer["error"]


@pytest.mark.parametrize("uid", ["", "short"])
async def test_who_does_not_say_whose_clip_it_is_is_refused(rig: Rig, folder: Path, uid: str) -> None:
    assert (await delete(rig, uid=uid))[0] == 400
    assert "goal-1a2b3c4d.mp4" in names(folder)


async def test_nobody_deletes_without_a_token(rig: Rig, folder: Path) -> None:
    assert (await delete(rig, token="wrong"))[0] == 401
    assert "goal-1a2b3c4d.mp4" in names(folder)

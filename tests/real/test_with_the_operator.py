"""The whole: real people in a room, the operator on a real control plane, clips checked picture by picture.

One story in three parts; each test looks at what the parts before it have left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.flow.conftest import wait_until_up
from tests.media.clip_reader import packets
from tests.real.clips import (
    FRAME,
    LIP_SYNC_SECONDS,
    Seen,
    check_against_segments,
    check_pictures,
    check_sound,
    check_timeline,
    seen,
    tone_positions,
)
from tests.real.kind import Kind, KindStack, kind_door
from tests.real.people import Door, Publisher, Viewer
from tests.real.publisher import MICROPHONE_AHEAD_SECONDS
from tests.real.story import ROOM, Saved, Story
from tests.stack.images import stack_images
from tests.stack.livekit import RealRooms
from tests.stack.stack import Stack
from tests.testbed.binaries import ControlPlaneBinaries
from tests.testbed.controlplane import ControlPlane
from tests.testbed.node import NodeStandIn

# The first test waits for the stack, the people and a window, each with a bound of its own.
pytestmark = [
    pytest.mark.livekit_server,
    pytest.mark.cluster,
    pytest.mark.usefixtures("asked_for"),
    pytest.mark.timeout(900),
]

KIND_CONTEXT = "REPLAY_KIND_CONTEXT"
BOBS_FIRST_NUMBER = 1_000_000
SPLICE_PICTURES = 3
"""Sound that is published a moment after its picture makes another run. Where two runs overlap, a cut may
cost so many pictures (docs/adr)."""
SCREEN, FACE, VOICE = "alice-screen", "bob-face", "alice-voice"


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The install of `make kind-up`, or the operator on a control plane of its own."""
    if context := os.environ.get(KIND_CONTEXT):
        yield KindStack(Kind(context), tmp_path_factory.mktemp("copies"))
        return
    door: Door = request.getfixturevalue("real_server")
    binaries: ControlPlaneBinaries = request.getfixturevalue("control_plane_binaries")
    with (
        ControlPlane(binaries) as plane,
        NodeStandIn(plane.kubeconfig, tmp_path_factory.mktemp("node"), stack_images()) as node,
    ):
        stack = Stack(plane, node, "real")
        settings = {"REPLAY_LIVEKIT_POLL_SECONDS": "1"}
        stack.install(rooms={}, settings=settings, real_rooms=RealRooms(door.url, door.api_secret))
        wait_until_up(stack)
        yield stack


@pytest.fixture(scope="module")
def door(request: pytest.FixtureRequest, stack: Stack) -> Door:
    """Where LiveKit is."""
    if isinstance(stack, KindStack):
        return kind_door(stack)
    server: Door = request.getfixturevalue("real_server")
    return server


@pytest.fixture(scope="module")
def story(door: Door, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Alice shares her screen and talks, bob shows his face, and three buffers record them."""
    directory = tmp_path_factory.mktemp("people")
    with (
        Viewer(door, ROOM, directory) as viewer,
        Publisher(door, ROOM, "alice", directory) as alice,
        Publisher(door, ROOM, "bob", directory, first_number=BOBS_FIRST_NUMBER) as bob,
    ):
        story = Story(stack, alice, bob, viewer)
        story.share_screen()
        alice.publish("MICROPHONE")
        story.faces.append(bob.publish("CAMERA"))
        bob.publish("MICROPHONE")
        story.record(SCREEN, "alice", video="ScreenShare", audio="ScreenShareAudio")
        story.record(FACE, "bob", video="Camera", audio="Microphone")
        story.record(VOICE, "alice", audio="Microphone")
        yield story


@pytest.fixture(scope="module")
def moment(story: Story) -> tuple[datetime, datetime]:
    """A stretch that all three buffers hold."""
    newest = min(story.wait_for_window(buffer, 9) for buffer in (SCREEN, FACE, VOICE))
    return newest - timedelta(seconds=6.789), newest - timedelta(seconds=0.7)


@pytest.fixture(scope="module")
def saved_screen(story: Story, moment: tuple[datetime, datetime]) -> Saved:
    return story.save("screen", SCREEN, *moment)


@pytest.fixture(scope="module")
def saved_face(story: Story, moment: tuple[datetime, datetime]) -> Saved:
    return story.save("face", FACE, *moment)


@pytest.fixture(scope="module")
def saved_voice(story: Story, moment: tuple[datetime, datetime]) -> Saved:
    return story.save("voice", VOICE, *moment)


def test_a_screen_with_its_sound_is_saved_from_the_asked_instant_to_the_asked_instant(
    story: Story, saved_screen: Saved
) -> None:
    check_pictures(saved_screen.file, saved_screen.start, saved_screen.end, story.arrived(story.screens))
    check_sound(saved_screen.file)
    check_against_segments(saved_screen.file, story.segments(SCREEN))
    assert saved_screen.clip["holes"] == []
    assert saved_screen.clip["runs"] == 1


def test_a_moment_of_one_second_is_as_exact(story: Story, moment: tuple[datetime, datetime]) -> None:
    start = moment[0] + timedelta(seconds=1.234)
    short = story.save("short", SCREEN, start, start + timedelta(seconds=1))
    check_pictures(short.file, short.start, short.end, story.arrived(story.screens))


def test_two_buffers_of_one_room_hold_each_their_own_person_at_the_same_instant(
    story: Story, saved_screen: Saved, saved_face: Saved
) -> None:
    check_pictures(saved_face.file, saved_face.start, saved_face.end, story.arrived(story.faces))
    check_sound(saved_face.file, ahead_seconds=MICROPHONE_AHEAD_SECONDS)
    numbers = [picture.mark.frame_number for picture in seen(saved_face.file) if picture.mark is not None]
    assert min(numbers) >= BOBS_FIRST_NUMBER
    assert abs(first_capture(saved_face) - first_capture(saved_screen)) <= FRAME + 0.001


def first_capture(saved: Saved) -> float:
    mark = seen(saved.file)[0].mark
    assert mark is not None
    return mark.captured_at_ms / 1000


def test_a_buffer_of_sound_alone_gives_a_clip_of_sound_alone(saved_voice: Saved) -> None:
    assert packets(saved_voice.file, "video").pts == []
    began = datetime.fromisoformat(saved_voice.clip["start"]).timestamp()
    late = [
        (began + seconds + MICROPHONE_AHEAD_SECONDS - position + 300) % 600 - 300
        for seconds, position in tone_positions(saved_voice.file)
    ]
    assert len(late) >= 5
    assert max(map(abs, late)) < LIP_SYNC_SECONDS


@pytest.fixture(scope="module")
def shared_again(
    story: Story, saved_screen: Saved, saved_face: Saved, saved_voice: Saved
) -> tuple[datetime, datetime]:
    """Alice stops sharing, and shares again; when that was."""
    stopped = datetime.now(UTC)
    story.stop_sharing()
    story.wait_for_reason(SCREEN, "SourceGone")
    story.share_screen()
    again = story.wait_for_recording(SCREEN, after=stopped, tracks={"video", "audio"})
    story.wait_until_it_reaches(SCREEN, again + timedelta(seconds=3.5))
    return stopped, again


def test_a_screen_that_is_shared_again_goes_on_in_the_same_buffer_with_the_pause_between(
    story: Story, shared_again: tuple[datetime, datetime]
) -> None:
    stopped, again = shared_again
    assert len(set(story.screens)) == 2, "the same track id again"
    start, end = stopped - timedelta(seconds=3), again + timedelta(seconds=3)
    saved = story.save("across", SCREEN, start, end)
    assert saved.clip["runs"] >= 2
    assert len(saved.clip["holes"]) == 1
    arrived = set(story.arrived(story.screens))
    for part in at_the_pause(check_timeline(saved.file)):
        numbers = {picture.mark.frame_number for picture in part if picture.mark is not None}
        missing = (arrived & set(range(min(numbers), max(numbers) + 1))) - numbers
        assert len(missing) <= SPLICE_PICTURES, f"pictures are missing: {sorted(missing)}"


def at_the_pause(pictures: list[Seen]) -> tuple[list[Seen], list[Seen]]:
    """What is shown before the longest pause, and after it."""
    steps = [after.seconds - before.seconds for before, after in pairwise(pictures)]
    cut = steps.index(max(steps)) + 1
    return pictures[:cut], pictures[cut:]


def test_what_somebody_showed_can_be_saved_after_they_have_left(
    story: Story, shared_again: tuple[datetime, datetime]
) -> None:
    _, again = shared_again
    story.alice.leave()
    story.wait_for_reason(SCREEN, "SourceGone")
    saved = story.save("afterwards", SCREEN, again + timedelta(seconds=1), again + timedelta(seconds=3))
    check_pictures(saved.file, saved.start, saved.end, story.arrived(story.screens))

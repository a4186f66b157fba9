"""What a real API server takes, refuses, fills in and prints of a ReplayBuffer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from replay_operator.api.replaybuffer import ReplayBufferSpec
from tests.testbed.controlplane import ControlPlane, KubectlError

pytestmark = pytest.mark.cluster

Manifest = dict[str, Any]

ALICE = {"participant": {"identity": "alice", "video": "ScreenShare", "audio": "ScreenShareAudio"}}
TRACKS = {"tracks": {"video": "TR_VCabcdef", "audio": "TR_AMabcdef"}}
READY = {
    "type": "Ready",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-05-04T10:00:00Z",
    "reason": "Recording",
    "message": "The window is filling.",
}


def buffer(**spec: Any) -> Manifest:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayBuffer",
        "metadata": {"name": "alice-screen"},
        "spec": {"room": "standup", "source": ALICE} | spec,
    }


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="a participant"),
        pytest.param({"source": TRACKS}, id="track ids"),
        pytest.param({"source": {"tracks": {"audio": "TR_AMabcdef"}}}, id="sound only"),
        pytest.param({"source": {"participant": {"identity": "a b/ç", "video": "Camera"}}}, id="no sound"),
        pytest.param({"room": "Tuesday, 9 o'clock / Zürich"}, id="any room name"),
        pytest.param({"owner": "user-42"}, id="an owner"),
        pytest.param({"windowSeconds": 30, "segmentSeconds": 10}, id="exactly three segments"),
        pytest.param({"windowSeconds": 8000, "segmentSeconds": 2}, id="exactly 4000 segments"),
        pytest.param({"windowSeconds": 14400, "segmentSeconds": 15}, id="four hours"),
        pytest.param({"encoding": {"preset": "H264_1080P_60"}}, id="a preset"),
        pytest.param({"encoding": {"advanced": {"width": 640, "height": 360}}}, id="own numbers"),
        pytest.param({"suspend": True, "keepAfterEndSeconds": 0}, id="suspended"),
    ],
)
def test_a_good_buffer_is_accepted_and_its_model_reads_it(
    admitted: Callable[..., Manifest], spec: Manifest
) -> None:
    stored = admitted(buffer(**spec))["spec"]
    assert ReplayBufferSpec.model_validate(stored).to_wire().items() >= stored.items()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"source": ALICE | TRACKS},
            "spec.source: Invalid value: set exactly one of source.participant (followed over re-publish) "
            "and source.tracks (fixed ids)",
            id="two sources",
        ),
        pytest.param({"source": {}}, "set exactly one of source.participant", id="no source in it"),
        pytest.param({"source": None}, "spec.source: Required value", id="no source"),
        pytest.param({"room": None}, "spec.room: Required value", id="no room"),
        pytest.param({"room": ""}, "spec.room in body should be at least 1 chars long", id="empty room"),
        pytest.param(
            {"source": {"participant": {"identity": "alice"}}},
            "spec.source.participant: Invalid value: name at least one of video and audio to record",
            id="participant without tracks",
        ),
        pytest.param(
            {"source": {"participant": {"video": "Camera"}}},
            "spec.source.participant.identity: Required value",
            id="tracks without participant",
        ),
        pytest.param(
            {"source": {"participant": {"identity": "alice", "video": "Microphone"}}},
            'Unsupported value: "Microphone": supported values: "Camera", "ScreenShare"',
            id="sound as video",
        ),
        pytest.param(
            {"source": {"tracks": {}}},
            "name at least one of the track ids video and audio",
            id="empty track source",
        ),
        pytest.param(
            {"source": {"tracks": {"video": "camera"}}},
            "spec.source.tracks.video: Invalid value: a LiveKit track id begins with TR_",
            id="bad track id",
        ),
        pytest.param(
            {"source": {"tracks": {"video": "TR_VC/../x"}}},
            "a LiveKit track id begins with TR_",
            id="track id with a path",
        ),
        pytest.param(
            {"owner": "../bob"},
            "owner holds letters, digits, '.', '-' and '_', and begins and ends with a letter or digit",
            id="owner with a path",
        ),
        pytest.param(
            {"windowSeconds": 29},
            "spec.windowSeconds in body should be greater than or equal to 30",
            id="window too short",
        ),
        pytest.param(
            {"windowSeconds": 14401},
            "spec.windowSeconds in body should be less than or equal to 14400",
            id="window too long",
        ),
        pytest.param(
            {"windowSeconds": 44, "segmentSeconds": 15},
            "windowSeconds must hold at least three segments: raise windowSeconds or lower segmentSeconds",
            id="fewer than three segments",
        ),
        pytest.param(
            {"windowSeconds": 8001, "segmentSeconds": 2},
            "a window holds at most 4000 segments: raise segmentSeconds or lower windowSeconds",
            id="more than 4000 segments",
        ),
        pytest.param({"windowSeconds": "10m"}, 'must be of type integer: "string"', id="a duration as text"),
        pytest.param({"windowSeconds": 60.5}, 'must be of type integer: "number"', id="half seconds"),
        pytest.param(
            {"segmentSeconds": 16},
            "spec.segmentSeconds in body should be less than or equal to 15",
            id="segment too long",
        ),
        pytest.param(
            {"segmentSeconds": 1},
            "spec.segmentSeconds in body should be greater than or equal to 2",
            id="segment too short",
        ),
        pytest.param(
            {"encoding": {"advanced": {"width": 641}}},
            "spec.encoding.advanced: Invalid value: width and height must be even numbers of pixels",
            id="odd width",
        ),
        pytest.param(
            {"encoding": {"advanced": {"height": 361}}},
            "width and height must be even numbers of pixels",
            id="odd height",
        ),
        pytest.param(
            {"encoding": {"preset": "H264_720P_30", "advanced": {}}},
            "spec.encoding: Invalid value: set exactly one of encoding.preset and encoding.advanced",
            id="both encodings",
        ),
        pytest.param(
            {"encoding": {}}, "set exactly one of encoding.preset and encoding.advanced", id="empty encoding"
        ),
        pytest.param({"encoding": {"preset": "4K"}}, 'Unsupported value: "4K"', id="unknown preset"),
        pytest.param(
            {"keepAfterEndSeconds": 86401},
            "spec.keepAfterEndSeconds in body should be less than or equal to 86400",
            id="kept too long",
        ),
    ],
)
def test_a_bad_buffer_is_refused_with_a_sentence(
    refusal: Callable[..., str], spec: Manifest, sentence: str
) -> None:
    assert sentence in refusal(buffer(**spec))


def test_a_buffer_without_a_spec_is_refused(refusal: Callable[..., str]) -> None:
    assert "spec: Required value" in refusal(buffer() | {"spec": None})


def test_defaults_are_filled_in(admitted: Callable[..., Manifest]) -> None:
    assert admitted(buffer(source=TRACKS))["spec"] == {
        "room": "standup",
        "source": TRACKS,
        "windowSeconds": 600,
        "keepAfterEndSeconds": 600,
        "suspend": False,
    }


def test_numbers_that_own_encoding_leaves_out_are_filled_in(admitted: Callable[..., Manifest]) -> None:
    stored = admitted(buffer(encoding={"advanced": {"framerate": 60}}))
    assert stored["spec"]["encoding"] == {
        "advanced": {"width": 1280, "height": 720, "framerate": 60, "videoKbps": 3000, "audioKbps": 128}
    }


@pytest.mark.parametrize("server_side", ["--server-side=true", "--server-side=false"])
def test_an_author_may_apply_an_encoding_later_and_take_it_back(
    control_plane: ControlPlane, crds: None, namespace: str, server_side: str
) -> None:
    """A default object in the schema would stay beside the new one and break "exactly one of"."""
    steps: list[Manifest] = [
        {},
        {"advanced": {"width": 640}},
        {"preset": "H264_720P_60"},
        {"advanced": {}},
        {},
    ]
    for encoding in steps:
        applied = buffer(**({"encoding": encoding} if encoding else {}))
        control_plane.kubectl("-n", namespace, "apply", server_side, "-f", "-", input=json.dumps(applied))
        assert _stored(control_plane, namespace)["spec"].get("encoding", {}).keys() == encoding.keys()


def test_an_unknown_field_is_refused_under_strict_validation(refusal: Callable[..., str]) -> None:
    assert 'unknown field "spec.windowMinutes"' in refusal(buffer(windowMinutes=10), "--validate=strict")


def test_an_unknown_field_is_pruned_without_validation(admitted: Callable[..., Manifest]) -> None:
    assert "windowMinutes" not in admitted(buffer(windowMinutes=10), "--validate=ignore")["spec"]


@pytest.fixture(scope="class")
def existing_buffer(control_plane: ControlPlane, crds: None, shared_namespace: str) -> None:
    control_plane.kubectl("-n", shared_namespace, "create", "-f", "-", input=json.dumps(buffer()))


@pytest.mark.usefixtures("existing_buffer")
class TestAnExistingBuffer:
    """Nothing that these tests ask for is kept."""

    def test_cannot_move_to_another_room(self, refusal: Callable[..., str], shared_namespace: str) -> None:
        said = refusal(buffer(room="other"), f"--namespace={shared_namespace}", verb="replace")
        assert "spec.room: Invalid value: room cannot change: make another ReplayBuffer" in said

    @pytest.mark.parametrize(
        "change",
        [
            {"source": TRACKS},
            {"windowSeconds": 900},
            {"segmentSeconds": 5},
            {"suspend": True},
            {"owner": "bob"},
        ],
    )
    def test_may_change_in_everything_else(
        self, admitted: Callable[..., Manifest], shared_namespace: str, change: Manifest
    ) -> None:
        stored = admitted(buffer(**change), f"--namespace={shared_namespace}", verb="replace")
        assert stored["spec"].items() >= change.items()
        assert stored["metadata"]["generation"] == 2

    @pytest.mark.parametrize(
        ("conditions", "sentence"),
        [
            ([READY | {"status": "Yes"}], 'Unsupported value: "Yes": supported values: "True", "False"'),
            ([READY | {"reason": "still filling"}], "conditions[0].reason in body should match"),
            ([READY | {"reason": None}], "status.conditions[0].reason: Required value"),
            ([READY | {"lastTransitionTime": "10:00"}], "must be of type date-time"),
            ([READY, READY | {"status": "False"}], 'Duplicate value: {"type":"Ready"}'),
        ],
    )
    def test_refuses_a_bad_condition(
        self, control_plane: ControlPlane, shared_namespace: str, conditions: list[Manifest], sentence: str
    ) -> None:
        with pytest.raises(KubectlError) as refused:
            _write_status(control_plane, shared_namespace, {"conditions": conditions})
        assert sentence in refused.value.stderr

    @pytest.mark.parametrize("category", ["replay", "all"])
    def test_is_listed_by_category(
        self, control_plane: ControlPlane, shared_namespace: str, category: str
    ) -> None:
        listed = control_plane.kubectl("-n", shared_namespace, "get", category, "--output=name")
        assert "replaybuffer.replaybuffer.dev/alice-screen" in listed.splitlines()


@pytest.fixture
def own_buffer(control_plane: ControlPlane, crds: None, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(buffer()))


@pytest.mark.usefixtures("own_buffer")
class TestABufferThatIsWritten:
    def test_keeps_its_status_when_the_spec_is_written(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        _write_status(control_plane, namespace, {"observedGeneration": 1})
        both = buffer(windowSeconds=900) | {"status": {"observedGeneration": 7}}
        control_plane.kubectl("-n", namespace, "replace", "-f", "-", input=json.dumps(both))
        stored = _stored(control_plane, namespace)
        assert (stored["spec"]["windowSeconds"], stored["status"]) == (900, {"observedGeneration": 1})

    def test_keeps_its_spec_and_generation_when_the_status_is_written(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        both = buffer(windowSeconds=900) | {"status": {"observedGeneration": 1}}
        control_plane.kubectl(
            "-n", namespace, "replace", "--subresource=status", "-f", "-", input=json.dumps(both)
        )
        stored = _stored(control_plane, namespace)
        assert (stored["spec"]["windowSeconds"], stored["status"]) == (600, {"observedGeneration": 1})
        assert stored["metadata"]["generation"] == 1

    def test_is_printed_with_what_a_reader_asks_first(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        recording = READY | {"type": "Recording", "status": "False", "reason": "SourceGone"}
        status = {
            "conditions": [READY, recording],
            "window": {"seconds": 450},
            "egress": {"id": "EG_abc", "run": "r1", "worker": "egress-0"},
        }
        _write_status(control_plane, namespace, status)
        short = _table(control_plane.kubectl("-n", namespace, "get", "rb"))
        assert short[0] == ["NAME", "ROOM", "PARTICIPANT", "RECORDING", "STATE", "WINDOW", "WORKER", "AGE"]
        assert short[1][:-1] == ["alice-screen", "standup", "alice", "False", "SourceGone", "450", "egress-0"]
        wide = _table(control_plane.kubectl("-n", namespace, "get", "rb", "--output=wide"))
        assert wide[0][7] == "EGRESS"
        assert wide[1][7] == "EG_abc"


def _write_status(control_plane: ControlPlane, namespace: str, status: Manifest) -> None:
    patch = json.dumps({"status": status})
    control_plane.kubectl(
        *("-n", namespace, "patch", "rb", "alice-screen"),
        *("--subresource=status", "--type=merge", f"--patch={patch}"),
    )


def _stored(control_plane: ControlPlane, namespace: str) -> Manifest:
    stored: Manifest = json.loads(
        control_plane.kubectl("-n", namespace, "get", "rb", "alice-screen", "-o", "json")
    )
    return stored


def _table(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]

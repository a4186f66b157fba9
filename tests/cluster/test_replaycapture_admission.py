"""What a real API server takes, refuses, fills in and prints of a ReplayCapture."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from replay_operator.api.replaycapture import ReplayCaptureSpec
from tests.testbed.controlplane import ControlPlane, KubectlError

pytestmark = pytest.mark.cluster

Manifest = dict[str, Any]

LAST = {"last": {"seconds": 300, "until": "2026-05-04T10:00:00.250Z", "postRollSeconds": 15}}
BETWEEN = {"between": {"start": "2026-05-04T10:00:00Z", "end": "2026-05-04T10:05:00.500Z"}}
READY = {
    "type": "Ready",
    "status": "True",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-05-04T10:00:20Z",
    "reason": "ClipReady",
    "message": "The clip is complete.",
}
CLIP = {
    "path": "user-42/goal.mp4",
    "bytes": 9_000_000_000,
    "milliseconds": 300_000,
    "start": "2026-05-04T10:00:00.020Z",
    "end": "2026-05-04T10:05:00.020Z",
    "segments": 31,
    "runs": 2,
    "clock": "StartedAt",
}
CHANGES: dict[str, Any] = {
    "bufferRef": {"name": "bob-screen"},
    "range": BETWEEN,
    "whenShort": "Fail",
    "holes": "Close",
    "trim": "Segment",
    "tail": "Flush",
    "output": {"name": "other"},
}


def capture(**spec: Any) -> Manifest:
    return {
        "apiVersion": "replaybuffer.dev/v1alpha1",
        "kind": "ReplayCapture",
        "metadata": {"name": "goal"},
        "spec": {"bufferRef": {"name": "alice-screen"}, "range": LAST, "output": {"name": "goal"}} | spec,
    }


def between(start: str, end: str) -> Manifest:
    return {"range": {"between": {"start": start, "end": end}}}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="the last seconds before a moment"),
        pytest.param({"range": {"last": {"seconds": 30}}}, id="the last seconds"),
        pytest.param({"range": BETWEEN}, id="between two instants"),
        pytest.param(between("2026-05-04T10:00:00Z", "2026-05-04T14:00:00Z"), id="four hours"),
        pytest.param(between("2026-05-04T10:00:00+02:00", "2026-05-04T08:00:00.001Z"), id="other time zone"),
        pytest.param(CHANGES, id="no default anywhere"),
        pytest.param({"output": {"title": "Tor! ⚽ <3", "thumbnail": False}}, id="any title"),
        pytest.param({"ttlSecondsAfterFinished": 0}, id="removed at once"),
    ],
)
def test_a_good_capture_is_accepted_and_its_model_reads_it(
    admitted: Callable[..., Manifest], spec: Manifest
) -> None:
    stored = admitted(capture(**spec))["spec"]
    assert ReplayCaptureSpec.model_validate(stored).to_wire().keys() == stored.keys()


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"range": {}},
            "spec.range: Invalid value: set exactly one of range.last and range.between",
            id="empty range",
        ),
        pytest.param({"range": None}, "spec.range: Required value", id="no range"),
        pytest.param(
            {"range": LAST | BETWEEN}, "set exactly one of range.last and range.between", id="both ranges"
        ),
        pytest.param(
            between("2026-05-04T10:00:00.500Z", "2026-05-04T10:00:00.499Z"),
            "spec.range.between: Invalid value: range.between.start must lie before range.between.end",
            id="start after end",
        ),
        pytest.param(
            between("2026-05-04T10:00:00Z", "2026-05-04T10:00:00Z"),
            "range.between.start must lie before range.between.end",
            id="no length",
        ),
        pytest.param(
            between("2026-05-04T10:00:00Z", "2026-05-04T14:00:00.001Z"),
            "a capture is at most four hours long: cut the range in parts",
            id="too long between",
        ),
        pytest.param(
            {"range": {"last": {"seconds": 14401}}},
            "spec.range.last.seconds in body should be less than or equal to 14400",
            id="too long last",
        ),
        pytest.param(
            {"range": {"last": {"seconds": 0}}},
            "spec.range.last.seconds in body should be greater than or equal to 1",
            id="nothing",
        ),
        pytest.param(
            {"range": {"last": {"seconds": 10, "postRollSeconds": 601}}},
            "spec.range.last.postRollSeconds in body should be less than or equal to 600",
            id="post-roll too long",
        ),
        pytest.param(
            {"range": {"last": {"seconds": 10, "until": "2026-05-04T10:00:00"}}},
            "spec.range.last.until in body must be of type date-time",
            id="instant without time zone",
        ),
        pytest.param(
            {"range": {"between": {"start": "2026-05-04T10:00:00Z"}}},
            "spec.range.between.end: Required value",
            id="no end",
        ),
        pytest.param({"bufferRef": {}}, "spec.bufferRef.name: Required value", id="no buffer"),
        pytest.param(
            {"bufferRef": {"name": "../nodes"}},
            "bufferRef.name is the metadata.name of a ReplayBuffer in this namespace",
            id="buffer name with a path",
        ),
        pytest.param(
            {"output": {"name": "../../etc/passwd"}},
            "spec.output.name: Invalid value: output.name is a file name without folders",
            id="path traversal",
        ),
        pytest.param(
            {"output": {"name": "a/b"}}, "output.name is a file name without folders", id="a folder"
        ),
        pytest.param({"output": {"name": ".."}}, "output.name is a file name without folders", id="dots"),
        pytest.param({"output": {"name": ".hid"}}, "output.name is a file name without folders", id="hidden"),
        pytest.param(
            {"output": {"name": "a\n"}}, "output.name is a file name without folders", id="a line break"
        ),
        pytest.param(
            {"output": {"name": ""}}, "output.name is a file name without folders", id="an empty name"
        ),
        pytest.param(
            {"output": {"name": "a" * 101}}, "spec.output.name: Too long: may not be more than 100", id="long"
        ),
        pytest.param(
            {"whenShort": "Ignore"},
            'Unsupported value: "Ignore": supported values: "Clamp", "Fail"',
            id="unknown policy",
        ),
        pytest.param(
            {"ttlSecondsAfterFinished": -1},
            "spec.ttlSecondsAfterFinished in body should be greater than or equal to 0",
            id="negative lifetime",
        ),
    ],
)
def test_a_bad_capture_is_refused_with_a_sentence(
    refusal: Callable[..., str], spec: Manifest, sentence: str
) -> None:
    assert sentence in refusal(capture(**spec))


def test_defaults_are_filled_in(admitted: Callable[..., Manifest]) -> None:
    bare = capture(range={"last": {"seconds": 30}})
    del bare["spec"]["output"]
    assert admitted(bare)["spec"] == {
        "bufferRef": {"name": "alice-screen"},
        "range": {"last": {"seconds": 30, "postRollSeconds": 0}},
        "whenShort": "Clamp",
        "holes": "Keep",
        "trim": "Exact",
        "tail": "Wait",
        "deletionPolicy": "Retain",
    }


def test_a_named_output_gets_a_thumbnail(admitted: Callable[..., Manifest]) -> None:
    assert admitted(capture())["spec"]["output"] == {"name": "goal", "thumbnail": True}


def test_an_unknown_field_is_refused_under_strict_validation(refusal: Callable[..., str]) -> None:
    said = refusal(capture(output={"name": "goal", "format": "mkv"}), "--validate=strict")
    assert 'unknown field "spec.output.format"' in said


def test_an_unknown_field_is_pruned_without_validation(admitted: Callable[..., Manifest]) -> None:
    stored = admitted(capture(output={"name": "goal", "format": "mkv"}), "--validate=ignore")
    assert stored["spec"]["output"] == {"name": "goal", "thumbnail": True}


@pytest.fixture(scope="class")
def existing_capture(control_plane: ControlPlane, crds: None, shared_namespace: str) -> None:
    control_plane.kubectl("-n", shared_namespace, "create", "-f", "-", input=json.dumps(capture()))


@pytest.mark.usefixtures("existing_capture")
class TestAnExistingCapture:
    """Nothing that these tests ask for is kept."""

    @pytest.mark.parametrize("field", CHANGES)
    def test_is_immutable_in(self, refusal: Callable[..., str], shared_namespace: str, field: str) -> None:
        said = refusal(capture(**{field: CHANGES[field]}), f"--namespace={shared_namespace}", verb="replace")
        assert f"spec.{field}: Invalid value: " in said
        assert f"{field} cannot change after creation: make another ReplayCapture" in said

    def test_cannot_lose_its_output(self, refusal: Callable[..., str], shared_namespace: str) -> None:
        said = refusal(capture(output=None), f"--namespace={shared_namespace}", verb="replace")
        assert "output cannot change after creation" in said

    def test_cannot_move_its_moment_by_a_millisecond(
        self, refusal: Callable[..., str], shared_namespace: str
    ) -> None:
        later = {"last": LAST["last"] | {"until": "2026-05-04T10:00:00.251Z"}}
        said = refusal(capture(range=later), f"--namespace={shared_namespace}", verb="replace")
        assert "range cannot change after creation" in said

    @pytest.mark.parametrize("change", [{"deletionPolicy": "Delete"}, {"ttlSecondsAfterFinished": 60}])
    def test_may_change_what_becomes_of_it(
        self, admitted: Callable[..., Manifest], shared_namespace: str, change: Manifest
    ) -> None:
        stored = admitted(capture(**change), f"--namespace={shared_namespace}", verb="replace")
        assert stored["spec"].items() >= change.items()

    def test_may_name_its_defaults(self, admitted: Callable[..., Manifest], shared_namespace: str) -> None:
        same = admitted(capture(trim="Exact", tail="Wait"), f"--namespace={shared_namespace}", verb="replace")
        assert same["metadata"]["generation"] == 1

    @pytest.mark.parametrize(
        ("status", "sentence"),
        [
            ({"conditions": [READY | {"status": "Done"}]}, 'Unsupported value: "Done"'),
            ({"conditions": [READY | {"message": None}]}, "status.conditions[0].message: Required value"),
            ({"conditions": [READY, READY]}, 'Duplicate value: {"type":"Ready"}'),
            ({"clip": CLIP | {"clock": "Sundial"}}, 'status.clip.clock: Unsupported value: "Sundial"'),
            (
                {"clip": CLIP | {"milliseconds": 0.5}},
                "clip.milliseconds in body must be of type integer",
            ),
        ],
    )
    def test_refuses_a_bad_status(
        self, control_plane: ControlPlane, shared_namespace: str, status: Manifest, sentence: str
    ) -> None:
        with pytest.raises(KubectlError) as refused:
            _write_status(control_plane, shared_namespace, status)
        assert sentence in refused.value.stderr

    @pytest.mark.parametrize("category", ["replay", "all"])
    def test_is_listed_by_category(
        self, control_plane: ControlPlane, shared_namespace: str, category: str
    ) -> None:
        listed = control_plane.kubectl("-n", shared_namespace, "get", category, "--output=name")
        assert "replaycapture.replaybuffer.dev/goal" in listed.splitlines()


@pytest.fixture
def own_capture(control_plane: ControlPlane, crds: None, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps(capture()))


@pytest.mark.usefixtures("own_capture")
class TestACaptureThatIsWritten:
    def test_keeps_its_status_when_the_spec_is_written(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        _write_status(control_plane, namespace, {"clip": CLIP})
        both = capture(deletionPolicy="Delete") | {"status": {"clip": CLIP | {"path": "stolen.mp4"}}}
        control_plane.kubectl("-n", namespace, "replace", "-f", "-", input=json.dumps(both))
        stored = _stored(control_plane, namespace)
        assert stored["spec"]["deletionPolicy"] == "Delete"
        assert stored["status"] == {"clip": CLIP}

    def test_keeps_its_spec_when_the_status_is_written(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        both = capture(deletionPolicy="Delete") | {"status": {"clip": CLIP}}
        control_plane.kubectl(
            "-n", namespace, "replace", "--subresource=status", "-f", "-", input=json.dumps(both)
        )
        stored = _stored(control_plane, namespace)
        assert stored["spec"]["deletionPolicy"] == "Retain"
        assert stored["status"] == {"clip": CLIP}

    def test_is_printed_with_what_a_reader_asks_first(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        status = {"conditions": [READY], "clip": CLIP, "expectedReadyTime": "2099-01-01T00:00:00Z"}
        _write_status(control_plane, namespace, status)
        short = _table(control_plane.kubectl("-n", namespace, "get", "rcap"))
        assert short[0] == ["NAME", "BUFFER", "READY", "STATE", "MILLISECONDS", "CLIP", "AGE"]
        assert short[1][:-1] == ["goal", "alice-screen", "True", "ClipReady", "300000", "user-42/goal.mp4"]

    def test_is_printed_wide_with_instants_and_not_ages(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        _write_status(control_plane, namespace, {"clip": CLIP, "expectedReadyTime": "2099-01-01T00:00:00Z"})
        wide = control_plane.kubectl("-n", namespace, "get", "rcap", "--output=wide")
        assert {"START", "EXPECTED"} <= set(_table(wide)[0])
        assert {"2026-05-04T10:00:00.020Z", "2099-01-01T00:00:00Z"} <= set(_table(wide)[1])


def _write_status(control_plane: ControlPlane, namespace: str, status: Manifest) -> None:
    patch = json.dumps({"status": status})
    control_plane.kubectl(
        *("-n", namespace, "patch", "rcap", "goal"),
        *("--subresource=status", "--type=merge", f"--patch={patch}"),
    )


def _stored(control_plane: ControlPlane, namespace: str) -> Manifest:
    stored: Manifest = json.loads(control_plane.kubectl("-n", namespace, "get", "rcap", "goal", "-o", "json"))
    return stored


def _table(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]

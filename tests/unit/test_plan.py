"""`replay-operator plan`: the published table from its own assumptions, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from replay_operator.api.replaybuffer import EncodingPreset
from replay_operator.cli.program import run
from replay_operator.domain import sizing
from replay_operator.domain.quantity import GIB, parse_quantity
from replay_operator.domain.recording_cost import PIXELS_PER_SECOND, Assumption, recording_cost
from replay_operator.domain.storage_budget import storage_budget
from replay_operator.settings import OperatorSettings

ROOT = Path(__file__).parents[2]
PUBLISHED_TABLE = [(20, 3, 5), (50, 7, 13), (100, 13, 25)]
"""Users, pods: rows of the published table (docs/capacity.md)."""

Plan = Callable[..., dict[str, Any]]


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    def planned(*arguments: str) -> dict[str, Any]:
        assert run(["plan", *arguments, "-o", "json"]) == 0
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return planned


@pytest.mark.parametrize(("users", "least", "most"), PUBLISHED_TABLE)
def test_the_published_assumptions_give_the_published_pods_cpu_and_ram(
    plan: Plan, users: int, least: int, most: int
) -> None:
    (row,) = plan("--assume", "published", "--users", str(users))["users"]
    assert row["pods"] == {"least": least, "most": most}
    assert row["requested_cores"] == {"least": 2 * least, "most": 2 * most}
    assert row["requested_memory_bytes"] == {"least": 2e9 * least, "most": 2e9 * most}


def test_the_published_row_of_five_users_is_the_better_end_of_its_own_assumptions(plan: Plan) -> None:
    (row,) = plan("--assume", "published", "--users", "5")["users"]
    assert row["pods"] == {"least": 1, "most": 2}


def test_a_hundred_published_users_fill_54_gb_and_write_75_mb_a_second(plan: Plan) -> None:
    answer = plan("--assume", "published", "--users", "100", "--preset", "H264_1080P_60", "--window", "600")
    (row,) = answer["users"]
    assert row["buffer_volume_bytes"] == 54e9
    assert row["write_bytes_per_second"] == 75e6
    assert row["files"] == 7200
    assert answer["files_per_window"] == 60
    assert row["room_composite_cores"] == {"least": 200, "most": 600}
    assert row["room_composite_times"] == {"least": 4, "most": 6}


@pytest.mark.parametrize(
    ("preset", "window_megabytes", "clip_megabytes"),
    [("H264_1080P_60", 540, 450), ("H264_1080P_30", 360, 300), ("H264_720P_30", 270, 225)],
)
def test_one_published_buffer_and_clip_have_their_published_sizes(
    plan: Plan, preset: str, window_megabytes: int, clip_megabytes: int
) -> None:
    (row,) = plan("--assume", "published", "--users", "1", "--preset", preset, "--captures-per-hour", "1")[
        "users"
    ]
    assert row["buffer_volume_bytes"] == window_megabytes * 1e6
    assert row["archive_bytes_per_day"] == pytest.approx(24 * clip_megabytes * 1e6)


@pytest.mark.parametrize(("storage", "buffers"), [("hdd", 166), ("ssd", 666), ("nvme", 2666)])
def test_the_published_formula_gives_the_published_number_of_buffers_of_a_disk(
    storage: str, buffers: int
) -> None:
    cost = recording_cost(EncodingPreset.H264_1080P_60, Assumption.PUBLISHED)
    assert storage_budget(storage, Assumption.PUBLISHED).buffers(cost) == buffers


def test_the_published_table_needs_more_pods_than_its_autoscaler_allows_and_the_plan_says_so(
    plan: Plan,
) -> None:
    warnings = plan("--assume", "published", "--users", "100")["warnings"]
    assert any("25 pods" in warning and "20" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("preset", "pods"),
    [
        # Two to a pod and one pod to spare; by CPU 85 cores at 70 % of 2.
        ("H264_720P_30", {"least": 51, "most": 61}),
        # One to a pod: a second does not fit its request.
        ("H264_1080P_30", {"least": 101, "most": 101}),
        # By CPU: 200 and 260 cores at 70 % of 2.
        ("H264_1080P_60", {"least": 143, "most": 186}),
    ],
)
def test_the_measured_cost_gives_the_pods_that_operator_and_autoscaler_make_of_it(
    plan: Plan, preset: str, pods: dict[str, int]
) -> None:
    (row,) = plan("--users", "100", "--preset", preset)["users"]
    assert row["pods"] == pods


def test_as_many_recordings_to_a_pod_as_the_install_says_leave_the_rest_to_the_autoscaler(plan: Plan) -> None:
    arguments = ("--users", "100", "--preset", "H264_720P_30", "--buffers-per-worker", "8")
    (row,) = plan(*arguments)["users"]
    # By memory: 30 GB at 75 % of 2 GiB.
    assert row["pods"] == {"least": 19, "most": 61}
    assert row["hpa_min"] == 14


def test_what_was_measured_is_not_called_extrapolated_and_what_was_not_is(plan: Plan) -> None:
    for preset in EncodingPreset:
        notes = plan("--preset", preset.value)["notes"]
        assert any("EXTRAPOLATED" in note for note in notes) == preset.endswith("_60")


@pytest.mark.parametrize("size_of_picture", ["720P", "1080P"])
def test_sixty_frames_a_second_cost_the_cores_of_thirty_by_pixels_and_frames(size_of_picture: str) -> None:
    thirty, sixty = (EncodingPreset(f"H264_{size_of_picture}_{rate}") for rate in (30, 60))
    factor = PIXELS_PER_SECOND[sixty] / PIXELS_PER_SECOND[thirty]
    measured, extrapolated = (recording_cost(preset, Assumption.MEASURED) for preset in (thirty, sixty))
    assert factor == 2
    assert extrapolated.extrapolated_from is thirty
    assert extrapolated.cores == measured.cores.times(factor)
    assert extrapolated.memory_bytes == measured.memory_bytes.times(1, factor)


@pytest.mark.parametrize("assumption", Assumption)
@pytest.mark.parametrize("preset", EncodingPreset)
def test_portrait_costs_what_landscape_does(preset: EncodingPreset, assumption: Assumption) -> None:
    landscape = EncodingPreset(preset.removeprefix("PORTRAIT_"))
    assert recording_cost(preset, assumption) == recording_cost(landscape, assumption)


def test_a_pod_too_small_for_one_recording_is_said_and_a_larger_one_is_not(plan: Plan) -> None:
    small = plan("--preset", "H264_1080P_60", "--users", "1")
    pod = ("--pod-cpu", "4", "--pod-memory-gib", "4")
    large = plan("--preset", "H264_1080P_60", "--users", "1", *pod)
    assert any("more than a pod requests" in warning for warning in small["warnings"])
    assert large["warnings"] == []


@given(
    users=st.integers(1, 5000),
    preset=st.sampled_from(EncodingPreset),
    cores=st.integers(1, 16),
    per_worker=st.integers(1, 64),
)
def test_the_most_pods_cover_the_highest_cost_within_the_targets_and_the_autoscaler_may_make_them(
    users: int, preset: EncodingPreset, cores: int, per_worker: int
) -> None:
    question = sizing.Question(
        preset=preset,
        assumption=Assumption.MEASURED,
        window_seconds=600,
        segment_seconds=10,
        pod_cores=cores,
        pod_memory_bytes=cores * GIB,
        buffers_per_worker=per_worker,
        captures_per_hour=0,
        clip_seconds=600,
        archive_days=30,
        storage=None,
    )
    answer = sizing.size(question, users)
    assert answer.cores.most <= answer.requested_cores.most * sizing.HPA_CPU_TARGET + 1e-6
    assert answer.memory_bytes.most <= answer.requested_memory_bytes.most * sizing.HPA_MEMORY_TARGET + 1
    assert sizing.FLEET_MIN <= answer.hpa_min <= answer.pods.least <= answer.pods.most == answer.hpa_max
    assert (answer.hpa_min - sizing.FLEET_HEADROOM) * per_worker >= users


@pytest.mark.parametrize(("budget", "over", "enough_for"), [("76", 600_000, 99), ("77", 0, None)])
def test_a_volume_that_is_asked_for_too_much_is_told_by_how_much(
    plan: Plan, budget: str, over: float, enough_for: int | None
) -> None:
    answer = plan("--users", "100", "--storage", budget)
    assert answer["users"][0]["over_budget_bytes_per_second"] == pytest.approx(over)
    told = [warning for warning in answer["warnings"] if "MB/s more than" in warning]
    assert told == [] if enough_for is None else told[0].endswith(f"enough for {enough_for}")


def test_a_class_of_disk_is_called_a_guess_and_a_number_is_not(plan: Plan) -> None:
    assert any("benchmark-volume" in note for note in plan("--storage", "ssd")["notes"])
    assert not any("benchmark-volume" in note for note in plan("--storage", "400")["notes"])
    assert any("20 to 30" in note for note in plan("--storage", "hdd")["notes"])


def test_without_a_word_about_storage_nothing_is_said_of_its_limit(plan: Plan) -> None:
    assert plan()["users"][0]["over_budget_bytes_per_second"] is None


def test_the_table_has_a_column_for_each_number_of_users(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--users", "5,20,50,100", "--assume", "published", "--storage", "nvme"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:36].strip(): line[36:].split() for line in lines}
    assert rows["users"] == ["5", "20", "50", "100"]
    assert rows["pods"] == ["1-2", "3-5", "7-13", "13-25"]
    assert rows["buffer volume (temp), GB"] == ["2.7", "11", "27", "54"]
    assert rows["CPU as Room Composite"] == ["10-30", "40-120", "100-300", "200-600"]


def test_the_settings_are_settings_of_the_operator_for_the_largest_number_of_users(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--users", "100,5", "--assume", "published", "--storage", "500", "--segment-seconds", "4"]
    assert run(["plan", *arguments, "-o", "settings"]) == 0
    data = yaml.safe_load(capsys.readouterr().out)["data"]
    known = {f"REPLAY_{name}".upper() for name in OperatorSettings.model_fields}
    assert set(data) <= known
    assert all(isinstance(value, str) for value in data.values())
    assert data["REPLAY_BUFFER_CLAIM_SIZE"] == "61Gi"
    assert data["REPLAY_SEGMENT_DURATION_SECONDS"] == "4"
    assert data["REPLAY_BUFFERS_PER_WORKER"] == "4"
    assert data["REPLAY_FLEET_MAX"] == "20"
    assert data["REPLAY_WRITE_BUDGET_MBPS"] == "500"


@pytest.mark.parametrize(("users", "most"), [(320, None), (400, "247Gi")])
def test_a_claim_beyond_what_it_may_grow_to_raises_that_too(
    users: int, most: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", "--users", str(users), "-o", "settings"]) == 0
    data = yaml.safe_load(capsys.readouterr().out)["data"]
    assert data.get("REPLAY_BUFFER_CLAIM_MAX") == most


def test_the_plan_reckons_with_the_defaults_and_targets_of_the_install() -> None:
    fields = OperatorSettings.model_fields
    assert fields["fleet_min"].default == sizing.FLEET_MIN
    assert fields["fleet_max"].default == sizing.DEFAULT_FLEET_MAX
    assert fields["fleet_headroom"].default == sizing.FLEET_HEADROOM
    assert parse_quantity(fields["buffer_claim_max"].default) == sizing.DEFAULT_CLAIM_MAX_BYTES
    headroom = 1 + fields["buffer_claim_headroom_percent"].default / 100
    assert headroom == sizing.CLAIM_HEADROOM
    autoscaler = yaml.safe_load((ROOT / "manifests/base/autoscaler.yaml").read_text())
    targets = {
        metric["resource"]["name"]: metric["resource"]["target"]["averageUtilization"]
        for metric in autoscaler["spec"]["metrics"]
    }
    assert targets == {"cpu": 100 * sizing.HPA_CPU_TARGET, "memory": 100 * sizing.HPA_MEMORY_TARGET}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--users", "5,none"], "no whole number from 1"),
        (["--users", "0"], "no whole number from 1"),
        (["--storage", "tape"], "neither a class of disk"),
        (["--storage", "-5"], "neither a class of disk"),
        (["--storage", "nan"], "neither a class of disk"),
        (["--preset", "H264_4K"], "invalid choice"),
        (["--window", "20"], "from 30 to 14400"),
        (["--window", "30", "--segment-seconds", "15"], "3 to 4000 segments"),
        (["--window", "14400", "--segment-seconds", "2"], "3 to 4000 segments"),
        (["--pod-cpu", "0"], "no number from 0.1"),
        (["--captures-per-hour", "-1"], "no number from 0 to"),
        (["--buffers-per-worker", "0"], "from 1 to 64"),
        (["--assume", "published", "--pod-cpu", "4"], "2 CPU and 2 GB"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_its_reason(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["plan", *arguments])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "beside"),
    [
        ((), "published, beside it: 0.5-1 cores, 0.5-1 GB of RAM, 0.75 MB/s (--assume published)"),
        (
            ("--assume", "published"),
            (
                "extrapolated from what was measured, beside it: "
                "2-2.6 cores, 0.85-2.4 GB of RAM, 0.77 MB/s (--assume measured)"
            ),
        ),
        (
            ("--assume", "published", "--preset", "H264_720P_30"),
            "measured, beside it: 0.25-0.85 cores, 0.3-0.43 GB of RAM, 0.39 MB/s (--assume measured)",
        ),
    ],
)
def test_what_the_other_figures_say_stands_beside_those_that_are_reckoned_with(
    arguments: tuple[str, ...], beside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[2] == beside


def test_json_has_what_a_recording_costs_by_either_assumption(plan: Plan) -> None:
    answer = plan("--preset", "H264_720P_30")
    both = answer["recording_by_assumption"]
    assert both["measured"] == answer["recording"]
    assert both["published"]["cores"] == {"least": 0.5, "most": 1.0}

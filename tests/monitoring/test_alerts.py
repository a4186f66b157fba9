"""Each alert fires when it should and not when it should not, by Prometheus's own test runner."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.chart import render
from tests.monitoring.rules import ROOT, RULES, alerts, declared, named_metrics, program

NAMESPACE = {"namespace": "team"}

WELL = {
    "replay_operator_stale_buffers": "0x200",
    "replay_operator_uncovered_seconds_total": "0+0.1x200",
    'replay_operator_buffers{state="Recording"}': "40x200",
    'replay_operator_buffers{state="WaitingForCapacity"}': "0x200",
    "replay_operator_clock_shift_seconds": "0.02x200",
    "replay_buffer_captures_total": "0+4x200",
    'replay_buffer_capture_errors_total{error_type="ArchiveFull"}': "0x200",
    'replay_buffer_capture_errors_total{error_type="BufferTooShort"}': "0+4x200",
    'replay_buffer_capture_duration_seconds_bucket{le="1"}': "0+3.9x200",
    'replay_buffer_capture_duration_seconds_bucket{le="2"}': "0+4x200",
    'replay_buffer_capture_duration_seconds_bucket{le="5"}': "0+4x200",
    'replay_buffer_capture_duration_seconds_bucket{le="+Inf"}': "0+4x200",
    'replay_buffer_capture_errors_total{error_type="QuotaExceeded"}': "0+0.5x200",
    "replay_upload_oldest_seconds": "0x40 0+30x60 0x100",
    'replay_upload_clips{state="Retrying"}': "0x40 1x60 0x100",
    'replay_upload_clips{state="Failed"}': "0x200",
    "replay_agent_volume_full_seconds": "+Infx200",
    "replay_agent_trimmed_buffers": "0x200",
    'replay_agent_volume_bytes{what="missing"}': "0x200",
    'replay_agent_archive_bytes{what="free"}': "1e12-1e6x200",
    "replay_agent_volume_writable": "1x200",
    'replay_claim_state{claim="replay-buffers",state="Bound"}': "1x200",
    'replay_claim_state{claim="replay-buffers",state="AtMaximum"}': "0x200",
    "replay_write_throughput_bytes": "70x200",
    "replay_write_budget_bytes": "100x200",
    "replay_operator_livekit_silent_seconds": "0 3 0x198",
    "replay_operator_agent_silent_seconds": "1x200",
    'replay_operator_leader{pod="a"}': "1x200",
    'replay_operator_leader{pod="b"}': "0x200",
    "replay_agent_policy_age_seconds": "10x200",
    "replay_operator_queue_age_seconds": "0.2x200",
    "replay_catalogue_up": "1x200",
}
"""A hundred minutes of an install that is well, a sample each half minute. A user asks wrongly,
one list of LiveKit is lost, somebody reaches a quota."""


@dataclass(frozen=True)
class Case:
    """What is wrong, and how the alert says it; `minute` is when it is looked at."""

    alert: str
    series: Mapping[str, str | None]
    value: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    minute: int = 30
    beside: tuple[str, ...] = ()
    """Alerts that the same fault fires too."""


FIRING = [
    Case("ReplayBufferWithoutFreshSegments", {"replay_operator_stale_buffers": "0x50 3x60"}, "3"),
    Case("ReplayMomentsLost", {"replay_operator_uncovered_seconds_total": "0x40 90x100"}, "90", minute=25),
    Case(
        "ReplayNoEgressCapacity",
        {'replay_operator_buffers{state="WaitingForCapacity"}': "0x50 7x60"},
        "7",
    ),
    Case("ReplayClockDrift", {"replay_operator_clock_shift_seconds": "0.02x50 1.5x60"}, "1.5s"),
    Case(
        "ReplayCapturesFailing",
        {
            'replay_buffer_capture_errors_total{error_type="ArchiveFull"}': "0+1x200",
            'replay_buffer_capture_errors_total{error_type="BufferTooShort"}': "0x200",
        },
        "20%",
    ),
    Case(
        "ReplayCapturesSlow",
        {
            'replay_buffer_capture_duration_seconds_bucket{le="1"}': "0+1x200",
            'replay_buffer_capture_duration_seconds_bucket{le="2"}': "0+3x200",
        },
        "4.4s",
    ),
    Case(
        "ReplayQuotaStorm",
        {'replay_buffer_capture_errors_total{error_type="QuotaExceeded"}': "0+20x200"},
        "200",
    ),
    Case("ReplayUploadsLate", {"replay_upload_oldest_seconds": "3720+0x200"}, "1h 2m 0s"),
    Case("ReplayUploadsGivenUp", {'replay_upload_clips{state="Failed"}': "0x20 2x60"}, "2"),
    Case("ReplayBufferVolumeFillsUp", {"replay_agent_volume_full_seconds": "7200x200"}, "2h 0m 0s"),
    Case("ReplayFreeSpaceFloor", {"replay_agent_trimmed_buffers": "0x50 2x60"}),
    Case("ReplayFreeSpaceFloor", {'replay_agent_volume_bytes{what="missing"}': "0x50 5e8x60"}),
    Case("ReplayArchiveFillsUp", {'replay_agent_archive_bytes{what="free"}': "1e11-1e9x200"}),
    Case("ReplayArchiveFillsUp", {'replay_agent_archive_bytes{what="free"}': "0x200"}),
    Case("ReplayBufferVolumeNotWritable", {"replay_agent_volume_writable": "1x50 0x60"}),
    Case(
        "ReplayClaimNotGrowing",
        {'replay_claim_state{claim="replay-buffers",state="AtMaximum"}': "1x200"},
        labels={"claim": "replay-buffers", "state": "AtMaximum"},
    ),
    Case("ReplayWriteBudgetNearlyUsed", {"replay_write_throughput_bytes": "81x200"}, "81%"),
    Case(
        "ReplayLiveKitUnreachable",
        {"replay_operator_livekit_silent_seconds": "0x56 30+30x10"},
        "2m 0s",
    ),
    Case("ReplayAgentDown", {"replay_operator_agent_silent_seconds": "1x56 31 61 91x10"}, "1m 31s"),
    Case("ReplayNoLeader", {'replay_operator_leader{pod="a"}': "1x50 0x60"}),
    # The only pod is gone, and with it its series: "_" is no sample.
    Case(
        "ReplayNoLeader",
        {'replay_operator_leader{pod="a"}': "1x40 _x60", 'replay_operator_leader{pod="b"}': None},
    ),
    Case("ReplayRetentionStopped", {"replay_agent_policy_age_seconds": "10x50 150x60"}, "2m 30s"),
    Case("ReplayQueueBehind", {"replay_operator_queue_age_seconds": "0x50 45x60"}, "45s"),
    Case("ReplayCatalogueAway", {"replay_catalogue_up": "1x40 0x60"}),
]  # fmt: skip

CALM = [
    Case("ReplayBufferWithoutFreshSegments", {"replay_operator_stale_buffers": "0x58 3x60"}),
    Case("ReplayMomentsLost", {"replay_operator_uncovered_seconds_total": "0x40 20x100"}, minute=25),
    Case("ReplayNoEgressCapacity", {'replay_operator_buffers{state="WaitingForCapacity"}': "0x57 7x60"}),
    Case("ReplayClockDrift", {"replay_operator_clock_shift_seconds": "0.02x57 1.5x60"}),
    Case(
        "ReplayCapturesFailing",
        {'replay_buffer_capture_errors_total{error_type="HolesInRange"}': "0+4x200"},
    ),
    Case("ReplayUploadsLate", {"replay_upload_oldest_seconds": "0+30x59 0x60"}),
    Case("ReplayBufferVolumeFillsUp", {"replay_agent_volume_full_seconds": "+Infx30 7200x24 +Infx60"}),
    Case("ReplayArchiveFillsUp", {'replay_agent_archive_bytes{what="free"}': "1e12-1e9x200"}),
    Case("ReplayClaimNotGrowing", {'replay_claim_state{claim="replay-buffers",state="Resizing"}': "1x200"}),
    Case("ReplayWriteBudgetNearlyUsed", {"replay_write_budget_bytes": "+Infx200"}),
    Case("ReplayLiveKitUnreachable", {"replay_operator_livekit_silent_seconds": "0x56 5 10 15 0x60"}),
    Case(
        "ReplayNoLeader",
        {'replay_operator_leader{pod="a"}': "1x50 _x60", 'replay_operator_leader{pod="b"}': "0x51 1x60"},
    ),
    Case("ReplayAgentDown", {"replay_operator_agent_silent_seconds": "1x56 30x2 1x60"}),
    Case("ReplayCatalogueAway", {"replay_catalogue_up": "1x55 0x60"}),
]  # fmt: skip
"""Trouble that ends by itself, or is none."""


def series_of(case: Case) -> list[dict[str, str]]:
    """All series, with the label that a scrape in the cluster adds."""
    every = {name: values for name, values in {**WELL, **case.series}.items() if values is not None}
    return [{"series": named(name), "values": written_out(values)} for name, values in every.items()]


def written_out(values: str) -> str:
    """`+Infx3` as promtool understands it: it repeats finite numbers only."""
    return re.sub(r"\+Infx(\d+)", lambda found: " ".join(["+Inf"] * (int(found[1]) + 1)), values)


def named(series: str) -> str:
    name, _, labels = series.rstrip("}").partition("{")
    return f'{name}{{namespace="team"{"," if labels else ""}{labels}}}'


def as_fired(case: Case) -> dict[str, Any]:
    """How an alert looks that fires, its templates filled in."""
    rule = alerts()[case.alert]
    labels = {**NAMESPACE, **case.labels}

    def filled(text: str) -> str:
        text = re.sub(r"{{ \$value \| \w+ }}", case.value or "MISSING", text)
        return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found.group(1)], text)

    annotations = {name: filled(text) for name, text in rule["annotations"].items()}
    return {"exp_labels": {**labels, **rule["labels"]}, "exp_annotations": annotations}


def run_promtool(case: Case, expected: Mapping[str, list[dict[str, Any]]], folder: Path) -> None:
    file = folder / "test.yaml"
    looks = [
        {"eval_time": f"{case.minute}m", "alertname": name, "exp_alerts": found}
        for name, found in expected.items()
    ]
    test = {"interval": "30s", "input_series": series_of(case), "alert_rule_test": looks}
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": [test]})
    )
    ran = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("case", FIRING, ids=lambda case: f"{case.alert}-{next(iter(case.series))}")
def test_a_fault_fires_its_alert_and_no_other(case: Case, tmp_path: Path) -> None:
    expected = {name: [as_fired(case)] if name == case.alert else [] for name in alerts()}
    run_promtool(case, {n: e for n, e in expected.items() if n not in case.beside}, tmp_path)


@pytest.mark.parametrize("case", CALM, ids=lambda case: case.alert)
def test_what_passes_by_itself_fires_nothing(case: Case, tmp_path: Path) -> None:
    run_promtool(case, {name: [] for name in alerts()}, tmp_path)


@pytest.mark.parametrize("minute", [1, 30, 95])
def test_an_install_that_is_well_fires_nothing(minute: int, tmp_path: Path) -> None:
    run_promtool(Case("", {}, minute=minute), {name: [] for name in alerts()}, tmp_path)


def test_each_alert_is_seen_firing() -> None:
    assert {case.alert for case in FIRING} == set(alerts())


def check_rules(file: Path) -> None:
    ran = subprocess.run(
        [program("promtool"), "check", "rules", "--lint-fatal", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_rules_are_what_prometheus_accepts() -> None:
    check_rules(RULES)


@pytest.mark.usefixtures("helm_binary")
def test_the_chart_passes_on_the_same_rules_with_an_address_for_each_runbook(tmp_path: Path) -> None:
    values = {"monitoring": {"rules": {"enabled": True, "runbookUrl": "https://docs.example/runbooks/%s/"}}}
    wrapped = next(found for found in render(values) if found["kind"] == "PrometheusRule")["spec"]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(wrapped))
    check_rules(file)
    for group in wrapped["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"].pop("runbook_url").startswith("https://docs.example/runbooks/Replay")
    assert wrapped == yaml.safe_load(RULES.read_text())


def test_each_alert_tells_how_bad_it_is_what_it_means_and_where_to_read_on() -> None:
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{name}.md"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "runbooks").glob("Replay*.md")}
    assert set(pages) == set(alerts())
    listed = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for name, text in pages.items():
        headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
        assert headings == ["Meaning", "How to see it", "How to mend it"], name
        severity, summary = alerts()[name]["labels"]["severity"], alerts()[name]["annotations"]["summary"]
        assert f"Severity: {severity}\n" in text
        assert f"| [{name}]({name}.md) | {severity} | {summary} |" in listed


def test_alerts_and_runbooks_name_only_metrics_that_there_are() -> None:
    known = {metric.name for metric in declared()}
    texts = [rule["expr"] for rule in alerts().values()]
    texts += [page.read_text() for page in (ROOT / "docs" / "runbooks").glob("*.md")]
    assert {name for text in texts for name in named_metrics(text)} - known == set()

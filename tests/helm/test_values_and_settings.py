"""What the chart lets through, operator and agent take: its schema and their settings hold each other."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from replay_operator.agent.settings import AgentSettings
from replay_operator.controller.part_settings import job_settings
from replay_operator.settings import OperatorSettings, UploadSettings
from tests.helm.chart import CHART, HelmError, Json, objects_of, render_text
from tests.helm.schema import schema_of
from tests.helm.values_comments import read_values
from tests.helm.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("helm_binary")

Path = tuple[str, ...]

LARGE = 2_000_000
"""Where the schema has no maximum. Numbers of this size are those that templates like to write as 2e+06."""

BASE: Mapping[str, Any] = {**VARIANTS["everything"], "catalogue": {"database": "Postgres"}}
"""With everything on, so that as much as possible arrives; no SQLite, which allows one operator only."""

OF_THE_AGENT: tuple[Path, ...] = (("agent", "freeSpaceFloor"), ("preview", "memory"), ("preview", "url"))
"""Texts that become settings in other templates than settings.yaml."""

TEXTS = (
    *("", "0", "7", "007", "1e3", "1E3", "true", "false", "null", "abc", "a..b", "a.b-c", "-abc"),
    *("x" * length for length in (63, 64, 734, 735)),
    *("20000000000", "1.5Gi", "1.2.3Gi", ".", ".5Gi", "5.", "2Pi", "1Ei", "1ki", "1Ki", "500M", "e3", "much"),
    *("5%", "50%", "60%", "0.5%", "1.2.3%", "50.1%"),
    *("team/clips", "team/clips/", "/team", "team//clips", "team/../clips", "clips of all"),
    *("a=b", "a=b,c=d", "a=b,c", "a="),
    *("livekit", "livekit=DEBUG", "livekit=debug", "livekit=DEBUG,kopf=ERROR", "livekit=DEBUG kopf=ERROR"),
    *("*", "a.example", "https://a.example", "https://a.example/", "https://a.example/b"),
    *("https://a.example/?b", "https://user:secret@a.example", "https://", "ftp://a.example"),
)
PAIRS = (
    *({"a": text} for text in ("", "b", "b,c", "b=c", "b/c:d@e", "ä", "b" * 128, "b" * 129)),
    *({name: "b"} for name in ("replay-owner", "replay-namespace", "a,b", "a=b", "example.com/pool", "a b")),
)
ORIGINS: tuple[list[str], ...] = (
    ["*"],
    ["https://a.example", "http://b.example:8080"],
    ["*", "https://a.example"],
    ["https://a example"],
    ["https://a.example/b"],
    ["https://a.example,https://b.example"],
)


def leaves() -> dict[Path, Json]:
    """What the schema says of each value, by its path."""
    return {value.path: schema_of(value) for value in read_values(CHART / "values.yaml")}


def of_type(leaf: Json, *types: str) -> bool:
    said = leaf.get("type", ())
    return bool({said} & set(types) if isinstance(said, str) else set(said) & set(types))


def tree(found: Mapping[Path, Any], base: Mapping[str, Any] = BASE) -> dict[str, Any]:
    """Values, from their paths, over a base."""
    values: dict[str, Any] = {
        key: tree({}, below) if isinstance(below, dict) else below for key, below in base.items()
    }
    for path, value in found.items():
        section = values
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = value
    return values


def load(
    values: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[OperatorSettings, UploadSettings, AgentSettings]:
    """Start with what the chart renders from values, as operator and agent do."""
    objects = objects_of(render_text(values, only=("settings.yaml", "agent.yaml")))
    settings = next(o["data"] for o in objects if o["kind"] == "ConfigMap")
    agent = next(o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment")
    variables = {e["name"]: e["value"] for e in agent["containers"][0]["env"] if "value" in e}
    assert {n: v for n, v in (settings | variables).items() if not isinstance(v, str)} == {}
    given = {"POD_NAMESPACE": "anywhere", "REPLAY_NOTIFY_SECRET": "from a Secret"}
    with monkeypatch.context() as environment:
        for name, value in (given | settings | variables).items():
            environment.setenv(name, value)
        return OperatorSettings(), UploadSettings(), AgentSettings()


def refused_by_the_schema(values: Mapping[str, Any]) -> set[Path]:
    """The values that helm refuses."""
    try:
        render_text(values, only=("settings.yaml", "agent.yaml"))
    except HelmError as error:
        found = {tuple(path.split("/")) for path in re.findall(r"at '/([^']+)'", str(error))}
        if not found:
            raise
        return found
    return set()


def accepted(offered: Mapping[Path, Any]) -> dict[Path, Any]:
    """Those of the values that helm takes."""
    complaints = refused_by_the_schema(tree(offered))
    refused = {path for path in offered for complaint in complaints if complaint[: len(path)] == path}
    return {path: value for path, value in offered.items() if path not in refused}


def paths_in_the_settings() -> set[Path]:
    """Values that settings.yaml reads itself."""
    text = (CHART / "templates" / "settings.yaml").read_text()
    return {tuple(path.split(".")) for path in re.findall(r"\$v\.([A-Za-z.]+)", text)}


def texts() -> list[Path]:
    """Paths of the texts that become settings; those with an enum cannot be wrong."""
    wanted = paths_in_the_settings() | set(OF_THE_AGENT)
    free = {path for path, leaf in leaves().items() if of_type(leaf, "string") and "enum" not in leaf}
    return sorted(wanted & free)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text[:30]} {len(text)}")
def test_a_text_that_the_schema_lets_through_starts_operator_and_agent(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = dict.fromkeys(texts(), text)
    assert len(offered) > 20
    load(tree(accepted(offered)), monkeypatch)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "=".join(*pair.items())[:30])
def test_tags_and_labels_that_the_schema_lets_through_do_too(
    pair: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = {("objectStorage", "tags"): dict(pair), ("captures", "nodeLabels"): dict(pair)}
    load(tree(accepted(offered), {**BASE, "objectStorage": {"bucket": "clips"}, "captures": {}}), monkeypatch)


@pytest.mark.parametrize("origins", ORIGINS, ids=str)
def test_origins_that_the_schema_lets_through_do_too(
    origins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(tree(accepted({("preview", "origins"): origins})), monkeypatch)


def numbers(bound: str) -> Iterator[tuple[Path, float]]:
    for path, leaf in leaves().items():
        if of_type(leaf, "integer", "number") and not of_type(leaf, "string"):
            if bound == "largest":
                yield path, leaf.get("maximum", LARGE)
            elif of_type(leaf, "number"):
                yield path, leaf.get("minimum", leaf.get("exclusiveMinimum")) + 0.25
            else:
                yield path, leaf["minimum"]


@pytest.mark.parametrize("bound", ["smallest", "largest"])
def test_the_bounds_of_all_numbers_start_operator_and_agent(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = dict(numbers(bound))
    assert len(values) > 30
    operator, uploads, agent = load(tree(values), monkeypatch)
    assert operator.capture_job_keep_seconds == values["captures", "jobKeepSeconds"]
    assert operator.fleet_lower_after_seconds == values["fleet", "lowerAfterSeconds"]
    assert operator.coverage_poll_seconds == values["operator", "coveragePollSeconds"]
    assert uploads.deadline_seconds == values["objectStorage", "deadlineSeconds"]
    assert agent.preview_port == values["preview", "port"]


def test_a_setting_of_ones_own_arrives_as_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = {"REPLAY_CAPTURE_RETRIES": 4, "REPLAY_MAX_BUFFERS": LARGE, "REPLAY_COVERAGE_POLL_SECONDS": 0.25}
    values = tree({("operator", "extraSettings"): written}, {})
    operator, _, _ = load(values, monkeypatch)
    assert (operator.capture_retries, operator.max_buffers) == (4, LARGE)
    assert operator.coverage_poll_seconds == 0.25


def test_a_label_of_nodes_may_have_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = {"node-role.kubernetes.io/media": "", "disk": "fast"}
    operator, _, _ = load({"captures": {"nodeLabels": labels}}, monkeypatch)
    assert dict(job_settings(operator).node_labels) == labels


def costs(text: str) -> Iterable[str]:
    return re.findall(r"track_composite_cpu_cost: (\S+)", text)


@pytest.mark.parametrize("cost", [0.25, 0.85, 1, 1.5, 12.125])
def test_what_a_recording_costs_a_worker_is_not_rounded(cost: float) -> None:
    (said,) = costs(render_text({"fleet": {"trackCompositeCpuCost": cost}}, only=["fleet.yaml"]))
    assert float(said) == cost

"""The lists in docs/ are complete: what a user may read in a status, set, or see measured is explained."""

import itertools
import json
import re
import tomllib
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from replay_operator.agent.settings import AgentSettings
from replay_operator.api.capture_job import EXIT_CODES, CaptureErrorReason, ExitCode
from replay_operator.api.meta import ConditionStatus
from replay_operator.api.replaycapture import Clock, Holes, Tail, Trim, WhenShort
from replay_operator.api.upload import UploadState
from replay_operator.api.upload_job import UPLOAD_EXIT_CODES, UploadErrorReason
from replay_operator.cli.metrics_page import page as metrics_page
from replay_operator.domain.captures import Refusal
from replay_operator.domain.claims import WARNINGS, ClaimState
from replay_operator.domain.status_contract import (
    BUFFER_CONTRACT,
    CAPTURE_CONTRACT,
    BufferState,
    CaptureState,
    Contract,
)
from replay_operator.settings import LiveKitSettings, OperatorSettings, UploadSettings

ROOT = Path(__file__).parents[2]


def rows(document: str) -> dict[str, list[str]]:
    """The cells of each table row of a document, by the row's first cell."""
    lines = (ROOT / "docs" / document).read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def as_cells(contract: Contract) -> list[str]:
    """The condition columns of a row of the status tables."""
    cells = [
        contract.ready.value,
        ConditionStatus.TRUE.value if contract.reconciling else "",
        ConditionStatus.TRUE.value if contract.stalled else "",
    ]
    return [*cells, contract.recording.value] if contract.recording is not None else cells


@pytest.mark.parametrize("state", BufferState)
def test_each_state_of_a_buffer_is_explained_with_the_conditions_that_it_has(state: BufferState) -> None:
    assert rows("buffers.md")[state.value][:4] == as_cells(BUFFER_CONTRACT[state])


@pytest.mark.parametrize("state", ClaimState)
def test_each_state_of_a_claim_is_explained_and_whether_it_is_a_warning(state: ClaimState) -> None:
    warning, meaning = rows("fleet.md")[state.value]
    assert bool(warning) is (state in WARNINGS)
    assert meaning


@pytest.mark.parametrize("state", [state for state in CaptureState if state is not CaptureState.FAILED])
def test_each_state_of_a_capture_is_explained_with_the_conditions_that_it_has(state: CaptureState) -> None:
    assert rows("captures.md")[state.value][:3] == as_cells(CAPTURE_CONTRACT[state])


@pytest.mark.parametrize("word", [*CaptureErrorReason, *Refusal, *Clock])
def test_each_reason_and_clock_of_a_capture_is_explained(word: CaptureErrorReason | Refusal | Clock) -> None:
    assert rows("captures.md")[word.value][-1]


@pytest.mark.parametrize("reason", CaptureErrorReason)
def test_whether_a_capture_is_tried_again_is_said_as_the_exit_code_has_it(reason: CaptureErrorReason) -> None:
    tried_again = EXIT_CODES[reason] is ExitCode.TRY_AGAIN
    assert rows("captures.md")[reason.value][0] == ("yes" if tried_again else "no")


@pytest.mark.parametrize("state", UploadState)
def test_each_state_of_an_upload_is_explained(state: UploadState) -> None:
    assert rows("object-storage.md")[state.value][-1]


@pytest.mark.parametrize("reason", UploadErrorReason)
def test_each_reason_of_a_failed_upload_is_explained_and_whether_it_is_tried_again(
    reason: UploadErrorReason,
) -> None:
    tried_again, meaning = rows("object-storage.md")[reason.value]
    assert tried_again == ("yes" if UPLOAD_EXIT_CODES[reason] is ExitCode.TRY_AGAIN else "no")
    assert meaning


@pytest.mark.parametrize("word", [*WhenShort, *Holes, *Tail, *Trim])
def test_each_choice_of_a_capture_is_explained(word: WhenShort | Holes | Tail | Trim) -> None:
    assert f"`{word.value}`" in (ROOT / "docs" / "captures.md").read_text()


def test_each_dependency_has_its_reason_and_no_other_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *itertools.chain(*project["dependency-groups"].values())]
    names = {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in wanted}
    player = json.loads((ROOT / "operator" / "player" / "package.json").read_text())
    assert set(rows("dependencies.md")) - {"package"} == names | player["dependencies"].keys()


def variable(model: type[BaseSettings], name: str, field: FieldInfo) -> str:
    """The environment variable that a setting comes from."""
    alias = field.validation_alias
    return alias if isinstance(alias, str) else f"{model.model_config['env_prefix']}{name}".upper()


def written_default(field: FieldInfo) -> str:
    """A setting's default as the tables say it."""
    if field.is_required():
        return "required"
    if field.default in (None, ""):
        return "none" if field.default is None else "empty"
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def test_each_setting_is_explained_with_its_default_and_no_other_is() -> None:
    settings = {
        variable(model, name, field): written_default(field)
        for model in (OperatorSettings, LiveKitSettings, AgentSettings, UploadSettings)
        for name, field in model.model_fields.items()
    }
    explained = {
        found.group(1): cells
        for first, cells in rows("operations.md").items()
        if (found := re.fullmatch(r"`([A-Z_]+)`", first))
    }
    assert {name: cells[0] for name, cells in explained.items()} == settings
    assert all(meaning for _, meaning in explained.values())


def test_the_page_about_metrics_is_what_the_processes_declare() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page()


def test_each_page_that_a_comment_cites_is_in_the_list_of_sources() -> None:
    cited: set[str] = set()
    for source in (ROOT / "operator").rglob("*.py"):
        found = re.findall(r"\b(livekit-measured|DESIGN) §|\b([a-z]+\.md)\b", source.read_text())
        cited |= {name for pair in found for name in pair if name}
    named = {first.removesuffix(" §n") for first in rows("sources.md")}
    kept = {page.name for page in (ROOT / "docs").glob("*.md")} | {"README.md"}
    assert {"livekit-measured", "DESIGN"} <= cited
    assert cited - kept <= named


def recordings_in(part: Path) -> list[Path]:
    return list(part.iterdir()) if part.is_dir() else [part]


def test_each_folder_of_recordings_is_explained() -> None:
    data = ROOT / "tests" / "data"
    recorded = {path.relative_to(data) for part in data.iterdir() for path in recordings_in(part)}
    patterns = [first.strip("`") for first in rows("sources.md") if first.startswith("`")]
    assert recorded
    for path in recorded:
        assert any(path.match(pattern) for pattern in patterns), path


def test_decision_records_are_numbered_and_have_the_same_four_parts() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        headings = re.findall(r"^## (.+)$", record.read_text(), flags=re.MULTILINE)
        assert headings == ["Context", "Measurement", "Decision", "Consequence"], record.name


PAPERS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", PAPERS, ids=str)
def test_what_a_document_links_to_exists(document: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "", (ROOT / document).read_text())
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", prose):
        assert (ROOT / document.parent / link).exists(), link


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in text


def test_each_folder_that_the_readme_names_exists_and_each_test_folder_is_named() -> None:
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`((?:tests|benchmarks|operator|docs|manifests|crds)/[a-z_/]*)`", text))
    assert named
    assert {name for name in named if not (ROOT / name).is_dir()} == set()
    layers = {
        f"tests/{path.name}/"
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and path.name[0].isalpha()
    }
    assert layers <= named


def test_each_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in PAPERS:
        text = (ROOT / document).read_text()
        assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, flags=re.MULTILINE)) <= targets, document

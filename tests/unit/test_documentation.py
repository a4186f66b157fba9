"""The lists in docs/ are complete: what a user may read in a status is explained."""

import re
import tomllib
from pathlib import Path

import pytest

from replay_operator.api.capture_job import CaptureErrorReason
from replay_operator.api.meta import ConditionStatus
from replay_operator.api.replaycapture import Clock, Holes, Tail, Trim, WhenShort
from replay_operator.domain.status_contract import (
    BUFFER_CONTRACT,
    CAPTURE_CONTRACT,
    BufferState,
    CaptureState,
    Contract,
)

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


@pytest.mark.parametrize("state", [state for state in CaptureState if state is not CaptureState.FAILED])
def test_each_state_of_a_capture_is_explained_with_the_conditions_that_it_has(state: CaptureState) -> None:
    assert rows("captures.md")[state.value][:3] == as_cells(CAPTURE_CONTRACT[state])


@pytest.mark.parametrize("word", [*CaptureErrorReason, *Clock])
def test_each_reason_and_clock_of_a_capture_is_explained(word: CaptureErrorReason | Clock) -> None:
    assert rows("captures.md")[word.value][-1]


@pytest.mark.parametrize("word", [*WhenShort, *Holes, *Tail, *Trim])
def test_each_choice_of_a_capture_is_explained(word: WhenShort | Holes | Tail | Trim) -> None:
    assert f"`{word.value}`" in (ROOT / "docs" / "captures.md").read_text()


def test_each_dependency_has_its_reason_and_no_other_is_listed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=~!\[; ]", requirement)[0] for requirement in wanted}
    assert set(rows("dependencies.md")) - {"package"} == names


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_a_document_links_to_exists(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text())
    assert links or document == "CHANGELOG.md"
    for link in links:
        assert (ROOT / link).exists(), link


def test_each_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md"):
        assert set(re.findall(r"\bmake ([a-z]+)\b[`\s]", (ROOT / document).read_text())) <= targets

"""The CustomResourceDefinitions: up to date, structural, and within the Kubernetes API conventions."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, Field

from replay_operator.api.crd import custom_resource_definitions
from replay_operator.api.crd_pattern import explained
from replay_operator.api.crd_schema import (
    UnsupportedSchemaError,
    structural_schema,
    with_figures_told,
    without_defaults,
)
from replay_operator.api.model import ApiModel, cel, validations
from replay_operator.cli import crds

CRDS = Path(__file__).parents[2] / "crds"
PAGES = Path(__file__).parents[2] / "docs" / "reference"

Schema = dict[str, Any]


def fields_of(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from fields_of(field, f"{path}.{name}")
    if "items" in schema:
        yield from fields_of(schema["items"], f"{path}[]")


def all_fields() -> Iterator[tuple[str, Schema]]:
    for definition in custom_resource_definitions():
        kind = definition["spec"]["names"]["kind"]
        root = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            yield from fields_of(root[part], f"{kind}.{part}")


FIELDS = dict(all_fields())


def paths_where(holds: Callable[[Schema], object]) -> list[str]:
    return [path for path, field in FIELDS.items() if holds(field)]


class TestTheCommittedFiles:
    def test_are_what_the_models_say(self) -> None:
        assert crds.check(CRDS, PAGES) == [], "run make generate"

    @pytest.mark.parametrize("kind", ["replaybuffer", "replaycapture"])
    def test_have_a_page_that_names_each_field_and_each_rule(self, kind: str) -> None:
        page = (PAGES / f"{kind}.md").read_text()
        for path, schema in FIELDS.items():
            if not path.lower().startswith(f"{kind}."):
                continue
            assert all(f"`{name}`" in page for name in schema.get("properties", {})), path
            assert all(rule["message"] in page for rule in schema.get("x-kubernetes-validations", [])), path

    def test_begin_with_a_warning_not_to_edit_them(self) -> None:
        for name in ("replaybuffers.yaml", "replaycaptures.yaml"):
            first_line = (CRDS / name).read_text().splitlines()[0]
            assert first_line == "# generated: do not edit, run make generate"


class TestTheCommand:
    def test_writes_files_that_its_check_accepts(self, tmp_path: Path) -> None:
        assert crds.main([str(tmp_path / "new")]) == 0
        assert crds.main([str(tmp_path / "new"), "--check"]) == 0

    def test_writes_the_same_bytes_each_time(self, tmp_path: Path) -> None:
        crds.write(tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        crds.write(tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_check_names_a_file_that_was_edited_and_leaves_it_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        crds.write(tmp_path)
        edited = tmp_path / "replaybuffers.yaml"
        edited.write_text(edited.read_text().replace("Namespaced", "Cluster"))
        assert crds.main([str(tmp_path), "--check"]) == 1
        said = capsys.readouterr().err
        assert "replaybuffers.yaml is missing or differs from the models: run make generate" in said
        assert "replaycaptures.yaml" not in said
        assert "Cluster" in edited.read_text()

    def test_check_names_files_that_are_missing(self, tmp_path: Path) -> None:
        assert {path.name for path in crds.check(tmp_path)} == {
            "replaybuffers.yaml",
            "replaycaptures.yaml",
        }

    def test_runs_as_a_module_without_kopf_and_without_a_kubernetes_client(self, tmp_path: Path) -> None:
        program = (
            "import runpy, sys\n"
            "for absent in ('kopf', 'kubernetes', 'livekit', 'aiohttp'):\n"
            "    sys.modules[absent] = None\n"  # an import of it fails
            f"sys.argv = ['crds', {str(tmp_path)!r}]\n"
            "runpy.run_module('replay_operator.cli.crds', run_name='__main__')\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
        assert crds.check(tmp_path) == []


class TestTheApiConventions:
    def test_every_field_has_a_description_in_sentences(self) -> None:
        bad = {path: field.get("description", "") for path, field in FIELDS.items()}
        bad = {path: text for path, text in bad.items() if not re.match(r"(metadata\.|[A-Z]).*\.$", text)}
        assert bad == {}

    def test_no_description_speaks_of_design_documents_or_python(self) -> None:
        assert paths_where(lambda field: re.search(r"DESIGN|§|`|\bNone\b", field["description"])) == []

    def test_no_field_is_a_float(self) -> None:
        assert paths_where(lambda field: field["type"] == "number") == []

    def test_every_integer_has_a_format(self) -> None:
        integers = paths_where(lambda field: field["type"] == "integer")
        assert "ReplayBuffer.spec.windowSeconds" in integers
        assert integers == paths_where(lambda field: field.get("format") in {"int32", "int64"})

    def test_every_text_has_a_bound_because_the_cost_of_cel_rules_is_estimated_from_it(self) -> None:
        texts = paths_where(lambda field: field["type"] == "string")
        assert "ReplayBuffer.spec.room" in texts
        assert texts == paths_where(
            lambda field: field.keys() & {"maxLength", "enum"} or field.get("format") == "date-time"
        )

    def test_every_list_has_a_bound_and_says_how_it_is_merged(self) -> None:
        lists = paths_where(lambda field: field["type"] == "array")
        assert "ReplayCapture.status.clip.holes" in lists
        assert lists == paths_where(lambda field: field.get("maxItems", 0) > 0)
        assert lists == paths_where(lambda field: field.get("x-kubernetes-list-type") in {"atomic", "map"})

    def test_no_field_is_a_duration_in_words(self) -> None:
        names = re.compile(r"(duration|timeout|period|interval)$", re.IGNORECASE)
        assert [path for path in FIELDS if names.search(path)] == []
        assert paths_where(lambda field: field.get("format") == "duration") == []

    def test_every_cel_rule_has_a_sentence_for_the_author(self) -> None:
        rules = [rule for field in FIELDS.values() for rule in field.get("x-kubernetes-validations", [])]
        assert len(rules) > 10
        assert [rule for rule in rules if len(rule["message"].split()) < 5] == []

    @pytest.mark.parametrize("kind", ["ReplayBuffer", "ReplayCapture"])
    def test_conditions_are_a_map_by_type_and_leave_nothing_out(self, kind: str) -> None:
        conditions = FIELDS[f"{kind}.status.conditions"]
        assert conditions["x-kubernetes-list-type"] == "map"
        assert conditions["x-kubernetes-list-map-keys"] == ["type"]
        assert set(conditions["items"]["required"]) == set(conditions["items"]["properties"])

    def test_no_status_field_has_a_default_because_what_nobody_saw_stays_absent(self) -> None:
        assert [path for path in paths_where(lambda field: "default" in field) if ".status" in path] == []


class Size(ApiModel):
    """How big it is.

    In
    metres.
    """

    model_config = ConfigDict(json_schema_extra=validations(cel("self.width > 0", "the width is positive")))

    width: Annotated[int, Field(ge=1, le=100, description="Width.")] = 7
    area: Annotated[int, Field(ge=1, description="Area.")]


class Thing(ApiModel):
    """A thing."""

    title: Annotated[str | None, Field(max_length=5, description="Title.")] = None
    size: Size = Size(area=1)
    other_size: Annotated[
        Size | None,
        Field(description="Own words.", json_schema_extra=validations(cel("self.area < 9", "too big"))),
    ] = None
    short_name: Annotated[
        str | None, Field(pattern="^[a-z]+$", json_schema_extra=explained("use small letters"))
    ] = None
    is_loud: Annotated[bool, Field(description="Loud.")] = False
    sizes: tuple[Size, ...] = ()


class TestTheStructuralSchema:
    def test_has_no_references_titles_or_nulls(self) -> None:
        assert structural_schema(Thing)["properties"]["title"] == {
            "description": "Title.",
            "type": "string",
            "maxLength": 5,
        }

    def test_names_fields_as_they_are_on_the_wire(self) -> None:
        assert {"otherSize", "shortName", "isLoud"} <= structural_schema(Thing)["properties"].keys()

    def test_takes_a_description_from_the_model_unless_the_field_has_its_own(self) -> None:
        fields = structural_schema(Thing)["properties"]
        assert fields["size"]["description"] == "How big it is. In metres."
        assert fields["otherSize"]["description"] == "Own words."

    def test_keeps_the_rules_of_the_model_and_of_the_field(self) -> None:
        rules = structural_schema(Thing)["properties"]["otherSize"]["x-kubernetes-validations"]
        assert [rule["rule"] for rule in rules] == ["self.width > 0", "self.area < 9"]

    def test_explains_a_pattern_by_a_rule_with_a_message(self) -> None:
        name = structural_schema(Thing)["properties"]["shortName"]
        assert "pattern" not in name
        assert name["x-kubernetes-validations"] == [cel("self.matches('^[a-z]+$')", "use small letters")]

    def test_gives_integers_the_smallest_format_that_holds_their_range(self) -> None:
        size = structural_schema(Size)["properties"]
        assert (size["width"]["format"], size["area"]["format"]) == ("int32", "int64")

    def test_keeps_scalar_defaults_only_because_default_objects_are_merged_with_what_comes_later(
        self,
    ) -> None:
        fields = structural_schema(Thing)["properties"]
        assert fields["isLoud"]["default"] is False
        assert fields["size"]["properties"]["width"]["default"] == 7
        assert not any("default" in fields[name] for name in ("size", "sizes", "title"))

    def test_without_defaults_has_none_at_any_depth(self) -> None:
        bare = without_defaults(structural_schema(Thing))
        assert [path for path, field in fields_of(bare, "") if "default" in field] == []

    def test_can_tell_ranges_and_defaults_in_the_descriptions(self) -> None:
        fields = with_figures_told(structural_schema(Thing))["properties"]
        assert fields["isLoud"]["description"] == "Loud. Default: false."
        width = fields["sizes"]["items"]["properties"]["width"]
        assert width["description"] == "Width. From 1 to 100. Default: 7."
        assert fields["title"]["description"] == "Title."

    @pytest.mark.parametrize(
        ("annotation", "complaint"),
        [
            (float, r"Odd\.field: type 'number' is not allowed"),
            (int | str, r"Odd\.field: a field has one type"),
            (dict[str, str], r"Odd\.field: additionalProperties has no structural form"),
            (Annotated[int, Field(gt=0)], r"Odd\.field: exclusiveMinimum has no structural form"),
            (tuple[float, ...], r"Odd\.field\[\]: type 'number' is not allowed"),
            (
                Annotated[str, Field(pattern=r"^\d$", json_schema_extra=explained("a digit"))],
                r"Odd\.field: a pattern with a message may hold neither ' nor a backslash",
            ),
        ],
    )
    def test_refuses_what_it_cannot_express_and_names_the_field(
        self, annotation: Any, complaint: str
    ) -> None:
        odd = type("Odd", (ApiModel,), {"__annotations__": {"field": annotation}, "__doc__": "Odd."})
        with pytest.raises(UnsupportedSchemaError, match=complaint):
            structural_schema(odd)


@pytest.mark.parametrize("field", ["owner", "room"])
def test_a_capture_can_say_of_its_buffer_whatever_that_may_be(field: str) -> None:
    fields = dict(all_fields())
    told, asked = fields[f"ReplayCapture.status.source.{field}"], fields[f"ReplayBuffer.spec.{field}"]
    assert told["maxLength"] >= asked["maxLength"]

"""operator/Dockerfile, as far as it can be judged without building it."""

import json
import re
from pathlib import Path

from replay_operator.agent.settings import AgentSettings
from tests.browsers.hls_library import LIBRARY

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "operator" / "Dockerfile").read_text().replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]
LAST_STAGE = INSTRUCTIONS[max(i for i, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def test_the_image_runs_as_a_numbered_user_who_is_not_root() -> None:
    (user,) = [rest for word, rest in LAST_STAGE if word == "USER"]
    match = re.fullmatch(r"(\d+):0", user)
    assert match is not None
    assert int(match[1]) > 0


def test_everything_that_is_copied_from_the_repository_exists() -> None:
    copies = [rest.split() for word, rest in INSTRUCTIONS if word == "COPY" and "--from=" not in rest]
    assert copies
    for *sources, _ in copies:
        for source in sources:
            assert (ROOT / source).exists(), source


def test_dependencies_are_installed_by_hash() -> None:
    installs = [rest for word, rest in INSTRUCTIONS if word == "RUN" and "runtime.lock" in rest]
    assert installs
    assert all("--require-hashes" in install for install in installs)


def test_all_stages_stand_on_bases_that_a_build_can_pin_anew() -> None:
    bases = [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    assert bases == ["${NODE_IMAGE}", "${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]
    python, node = [rest for word, rest in INSTRUCTIONS if word == "ARG" and "_IMAGE=" in rest]
    page = (ROOT / "docs" / "security" / "verify.md").read_text()
    for argument, named in (
        (python, r"PYTHON_IMAGE=python:3\.13\.\d+-slim-bookworm"),
        (node, r"NODE_IMAGE=node:22\.\S+-slim"),
    ):
        tag, _, _ = argument.partition("@")
        assert re.fullmatch(named, tag)
        assert f"--build-arg {tag}@sha256:" in page


def test_the_player_is_where_the_agent_looks_for_it_and_comes_by_its_lock() -> None:
    (install,) = [rest for word, rest in INSTRUCTIONS if word == "RUN" and "npm" in rest]
    assert "npm ci --ignore-scripts" in install
    wanted = AgentSettings.model_fields["preview_player"].default
    assert f"{LIBRARY} {wanted} " in install
    assert ["COPY", f"--from=player {wanted.parent} {wanted.parent}"] in LAST_STAGE
    package = json.loads((ROOT / "operator" / "player" / "package.json").read_text())
    locked = json.loads((ROOT / "operator" / "player" / "package-lock.json").read_text())["packages"]
    library = locked["node_modules/hls.js"]
    assert package["dependencies"] == {"hls.js": library["version"]}, "one version, and no range"
    assert library["integrity"].startswith("sha512-")
    assert "resolved" not in library, "everybody fetches from the registry that npm is set to"


def test_byte_code_is_compiled_with_the_time_that_a_build_is_given() -> None:
    build = [" ".join(each) for each in INSTRUCTIONS if each not in LAST_STAGE]
    first_install = next(n for n, line in enumerate(build) if line.startswith("RUN") and "install" in line)
    # Declared, it is in the environment of what follows in its stage; not given, it is not there.
    stage = max(n for n, line in enumerate(build) if line.startswith("FROM"))
    assert stage < build.index("ARG SOURCE_DATE_EPOCH") < first_install
    page = (ROOT / "docs" / "security" / "verify.md").read_text()
    assert "--build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)" in page


def test_the_image_starts_the_program_of_the_package() -> None:
    assert ["ENTRYPOINT", '["replay-operator"]'] in LAST_STAGE


def test_the_build_back_end_is_the_locked_one() -> None:
    (pinned,) = re.findall(r"hatchling==\S+", TEXT)
    assert pinned in (ROOT / "requirements" / "dev.lock").read_text().split()

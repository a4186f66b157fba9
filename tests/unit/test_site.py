"""The documentation site: it builds, and a link that leads nowhere or a page outside the nav stops it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MKDOCS = ROOT / ".venv-docs" / "bin" / "mkdocs"

pytestmark = pytest.mark.skipif(
    not MKDOCS.exists(), reason="mkdocs is not there: make docs installs it into .venv-docs"
)


def checkout(directory: Path) -> Path:
    """What the site is made from, to be changed."""
    shutil.copytree(ROOT / "docs", directory / "docs")
    shutil.copy(ROOT / "mkdocs.yml", directory)
    for path in ROOT.iterdir():
        if path.name[0] != "." and not (directory / path.name).exists():
            (directory / path.name).symlink_to(path)
    return directory


def build(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MKDOCS, "build", "--strict", "--site-dir", directory / "built"],
        cwd=directory,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_every_page_is_in_the_site_also_a_new_decision_and_nothing_comes_from_elsewhere(
    tmp_path: Path,
) -> None:
    made = checkout(tmp_path)
    (made / "docs" / "adr" / "9999-new.md").write_text("# 9999. New\n")
    built = build(made)
    assert built.returncode == 0, built.stderr
    for page in (made / "docs").rglob("*.md"):
        name = page.relative_to(made / "docs").with_suffix("")
        name = name.parent if name.name in ("index", "README") else name
        assert (made / "built" / name / "index.html").exists(), page
    for html in (made / "built").rglob("*.html"):
        assert not re.search(r"""(src|rel="stylesheet" href)=["']?https?:""", html.read_text()), html


FAULTS = {
    "[gone](nowhere.md)": "nowhere.md",
    "[gone](buffers.md#no-such-heading)": "no-such-heading",
    "[gone](../manifests/no-such-file.yaml)": "no-such-file.yaml",
}


def test_a_link_that_leads_nowhere_and_a_page_that_nobody_finds_stop_the_build(tmp_path: Path) -> None:
    made = checkout(tmp_path)
    with (made / "docs" / "faq.md").open("a") as page:
        page.writelines(f"\n{fault}\n" for fault in FAULTS)
    (made / "docs" / "storage" / "forgotten.md").write_text("# Forgotten\n")
    built = build(made)
    assert built.returncode != 0
    for complaint in [*FAULTS.values(), "storage/forgotten.md"]:
        assert complaint in built.stderr

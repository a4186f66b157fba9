"""What is generated for and from the chart.

`python -m tests.helm` writes all of it (`make generate`). `--check` compares what needs no helm
(`make lint`); the rest, `manifests/` and `tests/helm/snapshots/`, is compared by the tests.
"""

import sys
from pathlib import Path

from tests.helm.base_manifests import base_manifests
from tests.helm.chart import CHART, ROOT
from tests.helm.chart_readme import with_table
from tests.helm.schema import schema_text
from tests.helm.snapshots import SNAPSHOTS, snapshots
from tests.helm.values_comments import read_values


def from_values() -> dict[Path, str]:
    """Make what values.yaml says in other words, by its path."""
    values = read_values(CHART / "values.yaml")
    readme = CHART / "README.md"
    return {
        CHART / "values.schema.json": schema_text(values),
        readme: with_table(readme.read_text(), values),
    }


def differing(files: dict[Path, str]) -> list[Path]:
    """Give the files that are not as they should be."""
    return [path for path, text in files.items() if not path.is_file() or path.read_text() != text]


def main() -> int:
    """Write or check; return the exit code."""
    if sys.argv[1:] == ["--check"]:
        stale = [str(path.relative_to(ROOT)) for path in differing(from_values())]
        if stale:
            print(f"not as values.yaml says: {', '.join(stale)}. Run `make generate`.", file=sys.stderr)
        return 1 if stale else 0
    files = from_values()
    for path in differing(files):
        path.write_text(files[path])
    rendered = base_manifests() | snapshots()
    SNAPSHOTS.mkdir(exist_ok=True)
    for path in differing(rendered):
        path.write_text(rendered[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())

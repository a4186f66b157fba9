"""The table of all values in the chart's README."""

import json
from collections.abc import Sequence

from tests.helm.values_comments import Value

BEGIN = "<!-- values: begin, written by `make generate` -->"
END = "<!-- values: end -->"


def with_table(readme: str, values: Sequence[Value]) -> str:
    """Put the table between its two marks.

    Args:
        readme: The README with whatever table it has.
        values: All values.
    """
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [
        "| value | default | meaning |",
        "|---|---|---|",
        *(f"| `{'.'.join(v.path)}` | `{_default(v.default)}` | {_cell(v.text)} |" for v in values),
    ]
    return "\n".join([f"{before}{BEGIN}", *rows, f"{END}{after}"])


def _default(default: object) -> str:
    return json.dumps(default).replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

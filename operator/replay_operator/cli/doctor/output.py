"""The findings as text for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from replay_operator.domain.checks.checklist import Finding
from replay_operator.domain.checks.verdict import Level

SCHEMA = 1
"""Of the JSON form: fields may be added under the same number, none is renamed or removed."""

_INDENT = " " * 6


def as_text(findings: Sequence[Finding]) -> str:
    """Give one line for each check, in groups, and below those that did not pass the way to mend it.

    Args:
        findings: In the order of the checklist.
    """
    width = max((len(finding.check.name) for finding in findings), default=0)
    lines: list[str] = []
    for group, members in groupby(findings, key=lambda finding: finding.check.group):
        lines += [*([""] if lines else []), group]
        for finding in members:
            verdict = finding.verdict
            lines.append(f"{verdict.level:4}  {finding.check.name:{width}}  {verdict.message}")
            if verdict.level is not Level.PASS and verdict.mend:
                lines.append(f"{_INDENT}{'':{width}}  -> {verdict.mend}")
    counted = ", ".join(f"{_count(findings, level)} {level.lower()}" for level in Level)
    return "\n".join([*lines, "", counted, ""])


def as_json(findings: Sequence[Finding], *, namespace: str, version: str, checked_at: datetime) -> str:
    """Give the same for programs.

    Args:
        findings: In the order of the checklist.
        namespace: Of the install.
        version: Of this program.
        checked_at: When the facts were gathered.
    """
    document = {
        "schema": SCHEMA,
        "namespace": namespace,
        "version": version,
        "checkedAt": checked_at.isoformat(timespec="milliseconds"),
        "summary": {level.lower(): _count(findings, level) for level in Level},
        "checks": [
            {
                "group": finding.check.group,
                "name": finding.check.name,
                "level": finding.verdict.level.value,
                "message": finding.verdict.message,
                "mend": finding.verdict.mend,
            }
            for finding in findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _count(findings: Sequence[Finding], level: Level) -> int:
    return sum(finding.verdict.level is level for finding in findings)

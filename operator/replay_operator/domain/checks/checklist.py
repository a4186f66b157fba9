"""The production checklist: every check, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from replay_operator.domain.checks import bucket, fleet, install, livekit, preview, storage, volume
from replay_operator.domain.checks.clocks import judge_clocks
from replay_operator.domain.checks.facts import Facts
from replay_operator.domain.checks.verdict import Level, Verdict, warned, worst


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `name` is stable: scripts may look for it."""

    group: str
    name: str
    judge: Callable[[Facts], Verdict]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check said of an install."""

    check: Check
    verdict: Verdict


def _clocks(facts: Facts) -> Verdict:
    return judge_clocks(facts.clocks, facts.clocks_unseen)


CHECKS = (
    Check("Install", "settings", install.check_settings),
    Check("Install", "combinations", install.check_combinations),
    Check("Install", "definitions", install.check_definitions),
    Check("Install", "operator", install.check_operator),
    Check("Install", "lease", install.check_lease),
    Check("Install", "agent", install.check_agent),
    Check("Install", "preview", preview.check_preview),
    Check("Install", "object-storage", bucket.check_bucket),
    Check("Install", "secrets", install.check_secrets),
    Check("Install", "metrics", install.check_metrics),
    Check("Install", "clocks", _clocks),
    Check("LiveKit", "livekit-rooms", livekit.check_rooms),
    Check("LiveKit", "livekit-egress", livekit.check_egress),
    Check("Fleet", "workers-ready", fleet.check_ready),
    Check("Fleet", "workers-version", fleet.check_version),
    Check("Fleet", "workers-health", fleet.check_health),
    Check("Fleet", "workers-work", fleet.check_work),
    Check("Fleet", "workers-resources", fleet.check_resources),
    Check("Fleet", "workers-grace", fleet.check_grace),
    Check("Fleet", "autoscaler", fleet.check_autoscaler),
    Check("Fleet", "autoscaler-metrics", fleet.check_autoscaler_metrics),
    Check("Fleet", "disruption-budget", fleet.check_budget),
    Check("Storage", "claims", storage.check_claims),
    Check("Storage", "access-mode", storage.check_access_mode),
    Check("Storage", "storage-class", storage.check_class),
    Check("Storage", "volume-shared", storage.check_shared),
    Check("Storage", "volume-writable", volume.check_writable),
    Check("Storage", "file-system", volume.check_file_system),
    Check("Storage", "mount-options", volume.check_mount_options),
    Check("Storage", "free-space", volume.check_space),
    Check("Storage", "free-inodes", volume.check_inodes),
)


def examine(facts: Facts, checks: tuple[Check, ...] = CHECKS) -> tuple[Finding, ...]:
    """Go through the checklist.

    Args:
        facts: What was gathered.
        checks: Which checks.
    """
    return tuple(Finding(check, _judge(check, facts)) for check in checks)


def _judge(check: Check, facts: Facts) -> Verdict:
    try:
        return check.judge(facts)
    except Exception as error:  # noqa: BLE001 - an object of a shape that nobody expected must not hide the rest
        return warned(f"not checked: {type(error).__name__}: {error}", "report this: the check has a fault")


def overall(findings: Iterable[Finding]) -> Level:
    """Give the worst level of all findings."""
    return worst(finding.verdict.level for finding in findings)

"""`replay-operator doctor`: checks a live install against the production checklist, and changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubernetes.aio.config import ConfigException

from replay_operator.cli.doctor.gathering import gather_facts
from replay_operator.cli.doctor.output import as_json, as_text
from replay_operator.cli.doctor.settings import NAMESPACE
from replay_operator.cli.doctor.sight import see
from replay_operator.cluster.gateway import KubernetesGateway
from replay_operator.cluster.kubeconfig import current_namespace
from replay_operator.domain.checks.checklist import Finding, examine, overall
from replay_operator.domain.checks.facts import Facts
from replay_operator.domain.checks.verdict import Level, Unseen

EXIT_PASS = 0
EXIT_FAIL = 1
EXIT_COULD_NOT_RUN = 2
"""Also of a command line that makes no sense."""


class CouldNotRunError(Exception):
    """There is no API server to ask, or it tells us nothing; the message says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Check an install and print what was found.

    Args:
        arguments: The command line without the program's name and the subcommand.

    Returns:
        The exit code: 0 when nothing failed, 1 when something did, 2 when nobody could be asked.
    """
    flags = _parser().parse_args(arguments)
    kubeconfig = flags.kubeconfig or _path(os.environ.get("REPLAY_KUBECONFIG"))
    namespace = flags.namespace or os.environ.get(NAMESPACE) or current_namespace(kubeconfig)
    try:
        facts = asyncio.run(_facts(kubeconfig, namespace, os.environ))
    except CouldNotRunError as error:
        sys.stderr.write(f"replay-operator: {error}\n")
        return EXIT_COULD_NOT_RUN
    findings = examine(facts)
    text = (
        as_json(findings, namespace=namespace, version=facts.version, checked_at=facts.now)
        if flags.output == "json"
        else as_text(findings)
    )
    sys.stdout.write(text)
    return exit_code(findings, strict=flags.strict)


def exit_code(findings: Sequence[Finding], *, strict: bool) -> int:
    """Give the exit code for what was found.

    Args:
        findings: Of all checks.
        strict: Whether warnings fail as well.
    """
    bad = (Level.WARN, Level.FAIL) if strict else (Level.FAIL,)
    return EXIT_FAIL if overall(findings) in bad else EXIT_PASS


async def _facts(kubeconfig: Path | None, namespace: str, environment: Mapping[str, str]) -> Facts:
    try:
        gateway = await KubernetesGateway.connect(kubeconfig)
    except (ConfigException, OSError) as error:
        raise CouldNotRunError(
            f"no way to the cluster: {error}; give --kubeconfig, or set KUBECONFIG"
        ) from error
    try:
        reached = await see(
            "the API server", gateway.document("/version"), right="credentials that it accepts"
        )
        if isinstance(reached, Unseen):
            raise CouldNotRunError(reached.why)
        facts = await gather_facts(gateway, namespace, environment)
        if isinstance(facts.operator_pods, Unseen):
            # A page of warnings with exit code 0 would look like a pass to CI.
            raise CouldNotRunError(f"namespace {namespace}: {facts.operator_pods.why}")
        return facts
    finally:
        await gateway.close()


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay-operator doctor",
        description="Check a live install against the production checklist. Nothing is changed.",
        epilog="Exit code 0: nothing failed. 1: something did. 2: it could not run.",
    )
    parser.add_argument("-n", "--namespace", help="default: the pod's own, else that of the kubeconfig")
    parser.add_argument(
        "--kubeconfig", type=Path, help="default: the pod's account, else the usual kubeconfig"
    )
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--strict", action="store_true", help="warnings fail as well")
    return parser

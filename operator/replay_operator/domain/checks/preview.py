"""The check of the preview: an address that the operator signs opens what the agent shows."""

from __future__ import annotations

from http import HTTPStatus

from replay_operator.domain.checks.facts import Facts, PreviewFacts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, warned
from replay_operator.domain.signed_address import MIN_KEY_BYTES

_PAGE = "docs/operations.md, Preview"


def check_preview(facts: Facts) -> Verdict:
    """Whoever is given an address gets in, as far as the agent."""
    preview = facts.preview
    if isinstance(preview, Unseen):
        return not_seen(preview)
    if preview is None:
        return passed("nobody is shown anything: REPLAY_PREVIEW_API_PORT is not set")
    if not preview.has_url:
        return failed(
            "no addresses are handed out: REPLAY_PREVIEW_URL is not set",
            f"say where browsers reach the Service replay-preview ({_PAGE})",
        )
    if not preview.has_key:
        return failed(
            f"nothing can be signed: there is no preview-key of {MIN_KEY_BYTES} bytes by the agent's token",
            f"put one into that Secret: openssl rand -base64 48 ({_PAGE})",
        )
    if preview.port is None:
        return failed(
            "the operator hands out addresses, and the agent shows nothing",
            f"give the agent REPLAY_AGENT_PREVIEW_PORT ({_PAGE})",
        )
    return _answer(preview, preview.port)


def _answer(preview: PreviewFacts, port: int) -> Verdict:
    match preview.status:
        case HTTPStatus.NOT_FOUND:
            # Asked for a buffer that nobody has, it can say no more.
            return passed(f"what is signed with preview-key opens port {port} of the agent")
        case HTTPStatus.FORBIDDEN:
            return failed(
                "the agent refuses what is signed with preview-key",
                "mount the same Secret into operator and agent; see the check of the clocks as well",
            )
        case None:
            return failed(
                f"port {port} of the agent does not answer", "check its pod and log, and network policies"
            )
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return warned("the agent has not read its volume yet", "run this again in a minute")
    return warned(f"port {port} of the agent answered with {preview.status}", "look into its log")

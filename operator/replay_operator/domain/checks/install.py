"""Checks of the install itself: settings, definitions, processes, leader, Secrets, metrics."""

from __future__ import annotations

from collections.abc import Iterator

from replay_operator.domain.checks.facts import Choices, Facts
from replay_operator.domain.checks.objects import PodFacts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, together, warned
from replay_operator.domain.network_file_systems import is_over_network

APPLY_BASE = "apply manifests/base, or your overlay of it"
LONG_SEGMENT_SECONDS = 10
SHORT_SEGMENT_SECONDS = 2

_SCRAPE = "prometheus.io/scrape"


def check_settings(facts: Facts) -> Verdict:
    """The settings are valid, and those that the running operator has."""
    settings = facts.settings
    if isinstance(settings, Unseen):
        return not_seen(settings)
    if settings.error:
        return failed(
            f"settings of {settings.source} are not valid: {settings.error}",
            "correct them: an operator that starts with these ends with exit code 78",
        )
    return together(_odd_settings(facts), f"all settings of {settings.source} are valid")


def _odd_settings(facts: Facts) -> Iterator[Verdict]:
    settings = facts.settings
    if isinstance(settings, Unseen):
        return
    for name, meant in settings.unknown.items():
        hint = f"did you mean {meant}?" if meant else "remove it"
        yield warned(f"{name} is no setting, and has no effect", f"{name}: {hint} (docs/operations.md)")
    if settings.changed_at is not None:
        yield warned(
            f"{settings.source} was changed after the operator started, at {settings.changed_at:%H:%M:%S}",
            "kubectl rollout restart deployment replay-operator: settings are read at the start",
        )


def check_combinations(facts: Facts) -> Verdict:
    """Settings that are valid one by one make sense together."""
    choices = facts.choices
    if isinstance(choices, Unseen):
        return not_seen(choices)
    return together(_odd_combinations(choices, facts), "the settings fit each other")


def _odd_combinations(choices: Choices, facts: Facts) -> Iterator[Verdict]:
    if choices.fleet_min > choices.fleet_max:
        yield failed(
            f"REPLAY_FLEET_MIN {choices.fleet_min} is above REPLAY_FLEET_MAX {choices.fleet_max}",
            "lower the one or raise the other",
        )
    places = choices.fleet_max * choices.buffers_per_worker
    if choices.max_buffers is not None and choices.max_buffers > places:
        yield warned(
            f"REPLAY_MAX_BUFFERS admits {choices.max_buffers}, and the largest fleet has {places} places",
            f"raise REPLAY_FLEET_MAX, or lower REPLAY_MAX_BUFFERS to {places}",
        )
    if choices.buffer_claim == choices.archive_claim:
        yield warned(
            f"clips and segments share the claim {choices.buffer_claim}: clips fill it",
            "give the archive a claim of its own with REPLAY_ARCHIVE_CLAIM",
        )
    if choices.segment_seconds > LONG_SEGMENT_SECONDS:
        yield warned(
            f"with segments of {choices.segment_seconds} s the newest instant on disk is up to "
            f"{2 * choices.segment_seconds + 0.7:.1f} s old",
            "choose 10 or less in REPLAY_SEGMENT_DURATION_SECONDS, or let captures flush (tail: Flush)",
        )
    if choices.segment_seconds <= SHORT_SEGMENT_SECONDS and _is_network_volume(facts):
        yield warned(
            f"segments of {choices.segment_seconds} s on a network volume: five times the files and "
            "round trips of 10 s",
            "choose 4 or more in REPLAY_SEGMENT_DURATION_SECONDS, and tail: Flush where it hurries",
        )
    if not isinstance(facts.operator_pods, Unseen):
        images = {pod.image for pod in facts.operator_pods if not pod.terminating}
        if images and choices.capture_image not in images:
            yield warned(
                f"capture Jobs run {choices.capture_image}, the operator {', '.join(sorted(images))}",
                "give REPLAY_CAPTURE_IMAGE the image of the operator: they speak one protocol",
            )


def _is_network_volume(facts: Facts) -> bool:
    if isinstance(facts.agent, Unseen) or facts.agent.buffer is None:
        return False
    return is_over_network(facts.agent.buffer.file_system)


def check_definitions(facts: Facts) -> Verdict:
    """The API server serves both kinds as this version defines them."""
    wrong = facts.definitions
    if isinstance(wrong, Unseen):
        return not_seen(wrong)
    if wrong:
        return failed(
            f"the definitions on the API server are not those of {facts.version}: {'; '.join(wrong)}",
            "kubectl apply --server-side -k crds, from the release of the operator",
        )
    return passed(f"ReplayBuffer and ReplayCapture are served as {facts.version} defines them")


def check_operator(facts: Facts) -> Verdict:
    """A pod of the operator is ready."""
    return _process("operator", facts.operator_pods)


def check_agent(facts: Facts) -> Verdict:
    """The agent is ready, answers, and runs the operator's version."""
    return together(_agent(facts), "one pod, ready; it answers, and holds the lock of the volume")


def _agent(facts: Facts) -> Iterator[Verdict]:
    yield _process("agent", facts.agent_pods)
    if not isinstance(facts.agent_pods, Unseen) and len(facts.agent_pods) > 1:
        yield warned(
            f"{len(facts.agent_pods)} agents: one owns the volume, the others wait",
            "one replica with strategy Recreate (manifests/base/agent.yaml)",
        )
    if facts.agent_error:
        yield failed(
            facts.agent_error,
            "check the agent's pod and log, REPLAY_AGENT_URL, its token, and network policies",
        )
        return
    if isinstance(facts.agent, Unseen):
        yield not_seen(facts.agent)
        return
    if facts.agent.not_ready:
        yield failed(
            f"the agent is not ready: {facts.agent.not_ready}", "look into its log and at the volume"
        )
    if facts.agent.version != facts.version:
        yield warned(
            f"the agent runs {facts.agent.version}, this is {facts.version}",
            "give operator and agent one image: they speak one protocol",
        )


def _process(name: str, pods: tuple[PodFacts, ...] | Unseen) -> Verdict:
    if isinstance(pods, Unseen):
        return not_seen(pods)
    alive = [pod for pod in pods if not pod.terminating]
    if any(pod.ready for pod in alive):
        return passed(f"{', '.join(pod.name for pod in alive)} ready")
    if not alive:
        return failed(f"no pod of the {name} runs", APPLY_BASE)
    troubles = "; ".join(f"{pod.name} {pod.trouble or 'is not ready'}" for pod in alive)
    return failed(troubles, f"kubectl describe pod and kubectl logs of {alive[0].name} say more")


def check_lease(facts: Facts) -> Verdict:
    """An operator leads: it holds the Lease and renews it."""
    lease = facts.lease
    if isinstance(lease, Unseen):
        return not_seen(lease)
    look = "see why no operator takes it: kubectl logs deploy/replay-operator"
    if lease is None:
        return failed("there is no Lease: no operator has ever led here", look)
    if not lease.holder or lease.renewed_at is None:
        return failed("nobody holds the Lease: nothing is started and nothing captured", look)
    age_seconds = (facts.now - lease.renewed_at).total_seconds()
    if age_seconds > lease.lease_seconds:
        return failed(
            f"{lease.holder} renewed the Lease {age_seconds:.0f} s ago, "
            f"and it is good for {lease.lease_seconds} s",
            look,
        )
    return passed(f"{lease.holder} leads, renewed {max(age_seconds, 0):.0f} s ago")


def check_secrets(facts: Facts) -> Verdict:
    """Every Secret that the pods need is there, with the keys that they need. No value is looked at."""
    uses = facts.secret_uses
    if isinstance(uses, Unseen):
        return not_seen(uses)
    if not uses:
        return warned("no pod was seen that needs a Secret", APPLY_BASE)
    names = ", ".join(sorted({use.secret for use in uses}))
    return together(_secrets(facts), f"{names}: present, with the keys that the pods need")


def _secrets(facts: Facts) -> Iterator[Verdict]:
    uses = () if isinstance(facts.secret_uses, Unseen) else facts.secret_uses
    inferred = set()
    for secret, key in sorted({(use.secret, use.key or "") for use in uses}):
        keys = facts.secret_keys.get(secret)
        create = f"create the Secret {secret} (README.md, Install)"
        if isinstance(keys, frozenset):
            if key and key not in keys:
                yield failed(f"the Secret {secret} has no key {key!r}", create)
            elif not keys:
                yield failed(f"the Secret {secret} is empty", create)
        elif keys is None and secret in facts.secret_keys:
            yield failed(f"there is no Secret {secret}", create)
        elif not any(use.started for use in uses if use.secret == secret):
            yield failed(f"no pod that needs the Secret {secret} has started", create)
        else:
            inferred.add(secret)
    if inferred:
        yield warned(
            f"{', '.join(sorted(inferred))}: not looked at; pods that need them have started",
            "to be sure, run this with a kubeconfig that may get secrets (only names of keys are used)",
        )


def check_metrics(facts: Facts) -> Verdict:
    """Somebody collects the metrics of operator, agent and workers."""
    pods = [
        (name, found[0])
        for name, found in (
            ("operator", facts.operator_pods),
            ("agent", facts.agent_pods),
            ("workers", facts.workers),
        )
        if not isinstance(found, Unseen) and found
    ]
    if not pods:
        return warned("not checked: no pods were seen", "mend that first")
    bare = [name for name, pod in pods if not _is_scraped(pod, facts)]
    if not bare:
        return passed("operator, agent and workers have a monitor or the annotation of Prometheus")
    if isinstance(facts.scraping, Unseen):
        return not_seen(facts.scraping)
    return warned(
        f"nothing says that Prometheus collects the metrics of {', '.join(bare)}",
        f"a PodMonitor or ServiceMonitor in the namespace, or {_SCRAPE}: 'true' on the pods; "
        "if another scrape configuration finds them, take no notice",
    )


def _is_scraped(pod: PodFacts, facts: Facts) -> bool:
    if pod.annotations.get(_SCRAPE) == "true":
        return True
    if isinstance(facts.scraping, Unseen):
        return False
    return any(selector.items() <= dict(pod.labels).items() for selector in facts.scraping.monitors)

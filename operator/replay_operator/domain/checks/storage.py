"""Checks of the claims, and of who mounts them where."""

from __future__ import annotations

from collections.abc import Iterator

from replay_operator.domain.checks.facts import Choices, Facts
from replay_operator.domain.checks.objects import ClaimFacts, PodFacts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, together, warned

SLOW_WORDS = ("hdd", "slow", "cold", "archive", "st1", "sc1", "magnetic", "s3", "backup")
"""Parts of names that slow storage classes have. A name proves nothing: only a measurement does."""

SHARED = ("ReadWriteMany",)
ONE_NODE = "ReadWriteOnce"
ONE_POD = "ReadWriteOncePod"
_MEASURE = "measure it: replay-operator benchmark-volume"


def check_claims(facts: Facts) -> Verdict:
    """Both claims are bound and no resize hangs."""
    choices = facts.choices
    if isinstance(choices, Unseen):
        return not_seen(choices)
    pairs = ((choices.buffer_claim, facts.buffer_claim), (choices.archive_claim, facts.archive_claim))
    verdicts = [verdict for name, claim in pairs for verdict in _claim(name, claim)]
    bound = [f"{c.name} ({c.capacity})" for _, c in pairs if not isinstance(c, Unseen) and c is not None]
    return together(verdicts, f"{', '.join(bound)} bound")


def _claim(name: str, claim: ClaimFacts | Unseen | None) -> Iterator[Verdict]:
    if isinstance(claim, Unseen):
        yield not_seen(claim)
        return
    if claim is None:
        yield failed(f"there is no claim {name}", "the operator makes it when it leads: see the check lease")
        return
    describe = f"kubectl describe pvc {name}"
    if claim.volume_mode != "Filesystem":
        yield failed(
            f"{name} is a raw device ({claim.volume_mode})", "volumeMode must be Filesystem: a new claim"
        )
    if claim.phase == "Lost":
        yield failed(f"{name} has lost its volume", f"restore the volume, or make a new claim; {describe}")
    elif claim.phase != "Bound":
        yield failed(
            f"{name} is {claim.phase}: no pod that mounts it starts",
            f"check class {claim.storage_class or '(the default)'} and its provisioner; {describe}",
        )
    for condition, message in claim.conditions.items():
        yield warned(f"{name}: {condition} {message}".rstrip(), f"wait, or see {describe}")


def check_access_mode(facts: Facts) -> Verdict:
    """The claims can be mounted wherever the pods that need them run."""
    choices = facts.choices
    if isinstance(choices, Unseen):
        return not_seen(choices)
    if facts.buffer_claim is None and facts.archive_claim is None:
        return warned("not checked: there are no claims", "mend claims first")
    return together(_access(facts, choices), _topology(facts))


def _access(facts: Facts, choices: Choices) -> Iterator[Verdict]:
    wanted = (
        ("REPLAY_BUFFER_ACCESS_MODE", choices.buffer_access_mode, facts.buffer_claim),
        ("REPLAY_ARCHIVE_ACCESS_MODE", choices.archive_access_mode, facts.archive_claim),
    )
    for setting, mode, claim in wanted:
        if isinstance(claim, Unseen):
            yield not_seen(claim)
        elif claim is not None:
            yield from _mode(claim, setting, mode)
    buffer = facts.buffer_claim
    if isinstance(buffer, Unseen) or buffer is None or _is_shared(buffer):
        return
    nodes = _nodes(facts)
    if len(nodes) > 1:
        yield failed(
            f"{buffer.name} is {'/'.join(buffer.access_modes)}, and its pods are on {', '.join(nodes)}: "
            "those of all nodes but one wait for the volume for ever",
            "keep the affinity of manifests/base/fleet.yaml, or take a class that can ReadWriteMany",
        )
    for pod in () if isinstance(facts.workers, Unseen) else facts.workers:
        if not pod.terminating and not pod.node and pod.trouble:
            yield warned(
                f"{pod.name} finds no node beside the volume", "the node is full: RWO means one node"
            )


def _mode(claim: ClaimFacts, setting: str, mode: str) -> Iterator[Verdict]:
    modes = "/".join(claim.access_modes)
    if set(claim.access_modes) == {ONE_POD}:
        yield failed(
            f"{claim.name} is {ONE_POD}: agent, workers and Jobs share it",
            f"a new claim with {ONE_NODE} or {SHARED[0]}",
        )
    elif mode in SHARED and not _is_shared(claim):
        yield failed(
            f"{claim.name} is {modes}, {setting} says {mode}: a capture Job may land where it is not",
            f"set {setting} to {ONE_NODE}, or make a new claim: its access mode cannot change",
        )
    elif mode == ONE_NODE and _is_shared(claim):
        yield warned(
            f"{claim.name} is {modes}, {setting} says {mode}: Jobs are held on one node without need",
            f"set {setting} to {SHARED[0]}",
        )


def _is_shared(claim: ClaimFacts) -> bool:
    return bool(set(claim.access_modes) & set(SHARED))


def _nodes(facts: Facts) -> list[str]:
    seen = [pods for pods in (facts.workers, facts.agent_pods) if not isinstance(pods, Unseen)]
    return sorted({pod.node for pods in seen for pod in pods if pod.node and not pod.terminating})


def _topology(facts: Facts) -> str:
    nodes = _nodes(facts)
    where = f"agent and workers on {', '.join(nodes)}" if nodes else "no pods yet"
    buffer = facts.buffer_claim
    modes = "/".join(buffer.access_modes) if isinstance(buffer, ClaimFacts) else "access mode unknown"
    return f"{modes}; {where}"


def check_class(facts: Facts) -> Verdict:
    """The buffer volume's class is not one that is slow by its name; its true speed must be measured."""
    claim = facts.buffer_claim
    if isinstance(claim, Unseen):
        return not_seen(claim)
    if claim is None:
        return warned("not checked: there is no buffer claim", "mend claims first")
    name = claim.storage_class or "no class"
    if any(word in claim.storage_class.lower() for word in SLOW_WORDS):
        return warned(
            f"the class {name} sounds slow: every recording writes all the time",
            f"take a class on NVMe or SSD; {_MEASURE}",
        )
    return passed(f"{name}; how much it carries only a measurement tells ({_MEASURE})")


def check_shared(facts: Facts) -> Verdict:
    """Agent and workers mount the same claim, the workers at REPLAY_BUFFER_ROOT."""
    choices = facts.choices
    if isinstance(choices, Unseen):
        return not_seen(choices)
    return together(_mounts(facts, choices), f"agent and workers mount {choices.buffer_claim}")


def _mounts(facts: Facts, choices: Choices) -> Iterator[Verdict]:
    if isinstance(facts.workers, Unseen):
        yield not_seen(facts.workers)
    else:
        staying = [pod for pod in facts.workers if not pod.terminating]
        yield from dict.fromkeys(v for pod in staying for v in _worker_mount(pod, choices))
        if not staying:
            yield warned("not checked: there are no workers", "mend workers-ready first")
    if isinstance(facts.agent_pods, Unseen):
        yield not_seen(facts.agent_pods)
        return
    for pod in facts.agent_pods:
        for claim in (choices.buffer_claim, choices.archive_claim):
            if claim not in pod.claims():
                yield failed(
                    f"the agent does not mount {claim}", "name one claim in settings.yaml and agent.yaml"
                )


def _worker_mount(pod: PodFacts, choices: Choices) -> Iterator[Verdict]:
    root = choices.buffer_root.rstrip("/") or "/"
    there = [mount for mount in pod.mounts if mount.path == root]
    mine = [mount for mount in pod.mounts if mount.claim == choices.buffer_claim]
    mend = f"mount the claim {choices.buffer_claim} at {root} in the workers (manifests/base/fleet.yaml)"
    if not mine:
        yield failed(f"workers do not mount {choices.buffer_claim}: segments go where no agent looks", mend)
    elif not there or there[0].claim != choices.buffer_claim:
        yield failed(f"workers mount it at {mine[0].path}, REPLAY_BUFFER_ROOT is {root}", mend)
    elif there[0].read_only:
        yield failed("workers mount it read-only", mend)

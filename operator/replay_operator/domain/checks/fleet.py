"""Checks of the egress workers and of what scales them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from replay_operator.domain.checks.facts import Choices, Facts
from replay_operator.domain.checks.objects import PodFacts
from replay_operator.domain.checks.verdict import Unseen, Verdict, failed, not_seen, passed, together, warned

FIRST_GOOD_EGRESS = (1, 14, 0)
"""Before it, one failed write made all later segments of a recording vanish (livekit.md §2.3)."""

CORES_PER_RECORDING = 0.85
"""The most that a recording of 720p30 was measured to need, in cores (livekit-measured §1)."""

SHORT_GRACE_SECONDS = 300
"""A worker that goes hands its recordings over one by one; what is not away by then is cut off."""

TRACK_COMPOSITE = "TrackComposite"
NO_CPU_CORES = 0.1

_VERSION = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")
_FLEET_FILE = "manifests/base/fleet.yaml"


def _workers(facts: Facts) -> tuple[PodFacts, ...] | Verdict:
    """Give the workers that are there to stay, or what to say when there are none."""
    if isinstance(facts.workers, Unseen):
        return not_seen(facts.workers)
    staying = tuple(pod for pod in facts.workers if not pod.terminating)
    return staying or warned("not checked: there are no workers", "mend workers-ready first")


def check_ready(facts: Facts) -> Verdict:
    """The selector finds workers, and enough of them are ready."""
    choices = facts.choices
    if isinstance(facts.workers, Unseen):
        return not_seen(facts.workers)
    selector = (
        "the selector" if isinstance(choices, Unseen) else f"REPLAY_FLEET_SELECTOR {choices.fleet_selector}"
    )
    if not facts.workers:
        return failed(
            f"{selector} finds no pod", f"apply {_FLEET_FILE}, or set it to a label of your workers"
        )
    ready = [pod for pod in facts.workers if pod.ready and not pod.terminating]
    stuck = [f"{pod.name} {pod.trouble}" for pod in facts.workers if pod.trouble]
    if not ready:
        return failed(
            f"no worker is ready: {'; '.join(stuck) or 'see their log'}", "kubectl describe the pods"
        )
    if stuck:
        return warned(f"{len(ready)} ready, but {'; '.join(stuck)}", "kubectl describe the pods")
    fewest = 1 if isinstance(choices, Unseen) else choices.fleet_min
    if len(ready) < fewest:
        return warned(
            f"{len(ready)} of at least {fewest} workers (REPLAY_FLEET_MIN) ready", "see autoscaler, and wait"
        )
    return passed(f"{len(ready)} ready, found by {selector}")


def check_version(facts: Facts) -> Verdict:
    """The workers have the fixes that recording for ever depends on."""
    workers = _workers(facts)
    if isinstance(workers, Verdict):
        return workers
    images = sorted({pod.image for pod in workers})
    return together(map(_image, images), f"{', '.join(images)}")


def _image(image: str) -> Verdict:
    wanted = ".".join(map(str, FIRST_GOOD_EGRESS))
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = _VERSION.match(tag)
    if match is None:
        return warned(f"{image} does not say its version", f"name one: v{wanted} or later")
    version = tuple(int(part or 0) for part in match.groups())
    if version < FIRST_GOOD_EGRESS:
        return failed(
            f"{image} is older than {wanted}: one failed write makes all later segments vanish",
            f"run livekit/egress:v{wanted} or later ({_FLEET_FILE})",
        )
    return passed(image)


def check_health(facts: Facts) -> Verdict:
    """Each ready worker says on its health port what it holds."""
    answers = facts.answers
    if isinstance(answers, Unseen):
        return not_seen(answers)
    if not answers:
        return warned("not checked: no worker is ready", "mend workers-ready first")
    silent = sorted(name for name, answer in answers.items() if answer is None)
    if silent:
        return failed(
            f"{', '.join(silent)} did not answer: which recording they hold is unknown, a death is seen late",
            "set health_port in the workers' configuration, REPLAY_FLEET_HEALTH_PORT to the same, and let "
            "the operator through network policies",
        )
    return passed(f"{len(answers)} of {len(answers)} answer")


def check_work(facts: Facts) -> Verdict:
    """The workers do Track Composite and nothing dearer, and have CPU left."""
    answers = facts.answers
    if isinstance(answers, Unseen):
        return not_seen(answers)
    return together(_work(facts), "nothing but Track Composite, and CPU is left")


def _work(facts: Facts) -> Iterator[Verdict]:
    answers = {} if isinstance(facts.answers, Unseen) else facts.answers
    for name, answer in sorted(answers.items()):
        if answer is None:
            continue
        others = sorted(set(answer.kinds.values()) - {TRACK_COMPOSITE})
        if others:
            yield warned(
                f"{name} also does {', '.join(others)}",
                "give other egress a fleet of its own: a Room Composite takes the CPU of several recordings",
            )
        if answer.kinds and answer.available_cores < NO_CPU_CORES:
            yield warned(
                f"{name} has no CPU left for its {len(answer.kinds)} recordings",
                "lower REPLAY_BUFFERS_PER_WORKER, or give the workers more CPU",
            )


def check_resources(facts: Facts) -> Verdict:
    """The workers ask for CPU and memory, and a worker's CPU carries its recordings."""
    return _each(facts, _resources, "requests set, and the limit carries REPLAY_BUFFERS_PER_WORKER")


def _resources(pod: PodFacts, facts: Facts) -> Iterator[Verdict]:
    missing = [name for name in ("cpu", "memory") if name not in pod.requests]
    if missing:
        yield failed(
            f"workers request no {' and no '.join(missing)}: the scheduler crowds them, and the autoscaler "
            "cannot tell their load",
            f"set requests as in {_FLEET_FILE}: 2 CPU, 2Gi",
        )
    limit = cores(pod.limits.get("cpu", ""))
    if limit is None or isinstance(facts.choices, Unseen):
        return
    carried = facts.choices.buffers_per_worker
    if carried * CORES_PER_RECORDING > limit:
        yield warned(
            f"{carried} recordings of 720p30 need up to {carried * CORES_PER_RECORDING:.1f} cores, "
            f"and a worker may take {limit:g}",
            f"REPLAY_BUFFERS_PER_WORKER {max(1, int(limit / CORES_PER_RECORDING))}, or a higher limit",
        )


def cores(text: str) -> float | None:
    """Read a CPU quantity such as 2 or 1500m; None when it is none.

    Args:
        text: As in a container's resources.
    """
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return None


def check_grace(facts: Facts) -> Verdict:
    """A worker that is told to go has time to hand its recordings over."""
    return _each(facts, _grace, f"at least {SHORT_GRACE_SECONDS} s to hand recordings over")


def _grace(pod: PodFacts, _: Facts) -> Iterator[Verdict]:
    if pod.grace_seconds < SHORT_GRACE_SECONDS:
        yield warned(
            f"a worker that must go is killed after {pod.grace_seconds} s",
            f"terminationGracePeriodSeconds: 3600 ({_FLEET_FILE})",
        )


def _each(facts: Facts, judge: Callable[[PodFacts, Facts], Iterable[Verdict]], otherwise: str) -> Verdict:
    workers = _workers(facts)
    if isinstance(workers, Verdict):
        return workers
    # Pods of one template say the same: once is enough.
    return together(dict.fromkeys(v for pod in workers for v in judge(pod, facts)), otherwise)


def check_autoscaler(facts: Facts) -> Verdict:
    """The fleet has an autoscaler whose bounds fit the settings, and whose floor is the operator's."""
    found, choices = facts.autoscaler, facts.choices
    if isinstance(found, Unseen):
        return not_seen(found)
    if isinstance(choices, Unseen):
        return not_seen(choices)
    if found is None:
        return failed(
            f"there is no HorizontalPodAutoscaler {choices.fleet}: the fleet does not grow with the buffers",
            "apply manifests/base/autoscaler.yaml, or name yours in REPLAY_FLEET",
        )
    return together(
        _bounds(facts, choices),
        f"{found.name} keeps {found.minimum} to {found.maximum} workers, the lower bound is the operator's",
    )


def _bounds(facts: Facts, choices: Choices) -> Iterator[Verdict]:
    found = facts.autoscaler
    if isinstance(found, Unseen) or found is None:
        return
    if found.maximum < choices.fleet_min:
        yield failed(
            f"maxReplicas {found.maximum} is below REPLAY_FLEET_MIN {choices.fleet_min}", "raise maxReplicas"
        )
    elif found.maximum < choices.fleet_max:
        yield warned(
            f"maxReplicas {found.maximum} is below REPLAY_FLEET_MAX {choices.fleet_max}: so many never come",
            "make them equal",
        )
    if found.floor_owner:
        yield warned(
            f"{found.floor_owner} declares minReplicas, so the operator keeps its hands off: workers come "
            "only when the CPU of others is busy, and buffers wait",
            "remove spec.minReplicas from the manifest or the values",
        )
    elif found.minimum < choices.fleet_min:
        yield warned(
            f"minReplicas is {found.minimum}, below REPLAY_FLEET_MIN {choices.fleet_min}: nobody has set it",
            "look into the operator's log",
        )
    status, reason = found.conditions.get("AbleToScale", ("Unknown", ""))
    if status == "False":
        yield failed(f"it cannot scale {found.target}: {reason}", "check scaleTargetRef and the Deployment")
    if found.conditions.get("ScalingActive", ("", ""))[1] == "ScalingDisabled":
        yield failed(
            f"{found.target} is scaled to 0, which turns the autoscaler off",
            f"kubectl scale deployment {found.target} --replicas={choices.fleet_min}",
        )


def check_autoscaler_metrics(facts: Facts) -> Verdict:
    """The autoscaler sees the load of the workers."""
    found = facts.autoscaler
    if isinstance(found, Unseen):
        return not_seen(found)
    if found is None:
        return warned("not checked: there is no autoscaler", "mend autoscaler first")
    status, reason = found.conditions.get("ScalingActive", ("Unknown", "it has not looked yet"))
    if status == "True":
        return passed("it sees the load of the workers")
    return warned(
        f"it does not see the load of the workers ({reason}): the fleet grows with the buffers, and never "
        "shrinks",
        "install metrics-server, and set requests on every container of the workers",
    )


def check_budget(facts: Facts) -> Verdict:
    """A PodDisruptionBudget makes a drain take one worker at a time."""
    budgets, workers = facts.budgets, _workers(facts)
    if isinstance(budgets, Unseen):
        return not_seen(budgets)
    if isinstance(workers, Verdict):
        return workers
    covering = [budget for budget in budgets if all(budget.covers(pod) for pod in workers)]
    if not covering:
        return warned(
            "no PodDisruptionBudget covers the workers: a drain may take all of them at once",
            f"apply the one in {_FLEET_FILE}",
        )
    return passed(f"{', '.join(budget.name for budget in covering)} lets them go one after the other")

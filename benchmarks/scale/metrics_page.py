"""Reads single values from a page of Prometheus metrics. Pure."""

from __future__ import annotations


def metric(page: str, name: str, **labels: str) -> float:
    """Add up the samples of a metric that have these labels; 0 when there is none.

    Args:
        page: The text of `/metrics`.
        name: Full name of the sample, such as `replay_operator_reconciles_total`.
        **labels: Labels that must match; others may be there.
    """
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    total = 0.0
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        sample, _, value = line.rpartition(" ")
        found, _, rest = sample.partition("{")
        if found == name and all(pair in rest for pair in wanted):
            total += float(value)
    return total

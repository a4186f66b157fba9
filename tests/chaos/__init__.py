"""Faults on purpose against the whole system: a plan from a seed, what may be lost, and what must hold."""

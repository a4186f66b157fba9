"""Kubernetes quantities such as 500m or 2Gi as numbers."""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity


def quantity(text: str) -> Decimal:
    """The number behind a quantity.

    Raises:
        ValueError: it is not a quantity.
    """
    return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]  # the client has no annotations here

"""The rig of the tests below."""

import pytest

from tests.cluster.conftest import crds
from tests.contract.rig import Outside, Rig

__all__ = ["crds"]


@pytest.fixture
def rig() -> Rig:
    """An operator process that knows no object yet."""
    return Rig(Outside())

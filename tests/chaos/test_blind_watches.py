"""What happens while no watch can see it must not go unseen for long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.calm import wait_until_calm
from tests.chaos.scene import Scene
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import ApiFrontInThread

EXPIRED = ApiFault(Reaction.EXPIRE, only_watches=True)


@pytest.fixture
def blind(whole: Scene, front: ApiFrontInThread) -> Iterator[Scene]:
    """A system whose watches expire as soon as they begin."""
    whole.note_end_of_faults()
    wait_until_calm(whole)
    front.break_with(EXPIRED)
    front.cut_watches()
    whole.stack.wait_for("blind watches", lambda: front.met(EXPIRED) >= 4, seconds=60)
    yield whole
    front.heal()


def test_a_buffer_that_is_deleted_while_watches_are_blind_is_not_recorded_on(
    blind: Scene, front: ApiFrontInThread
) -> None:
    """After a watch has expired, kopf lists what is there, and never tells what has gone meanwhile."""
    blind.replace_buffer(0)
    front.heal()
    blind.note_end_of_faults()
    blind.close_account(wait_until_calm(blind).at_ns)

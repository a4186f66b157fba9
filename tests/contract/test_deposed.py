"""An operator that loses the Lease in the middle of a decision: what it had decided is not done any more."""

from __future__ import annotations

import pytest

from replay_operator.controller.leader import LeadershipLost
from tests.contract.rig import Rig


async def test_a_start_that_was_decided_before_the_lease_was_lost_is_not_made(rig: Rig) -> None:
    rig.agent.while_run_is_put = lambda: setattr(rig, "leads", False)
    rig.user_creates_buffer()
    await rig.look()
    with pytest.raises(LeadershipLost, match="did not start a recording of room standup"):
        await rig.reconcile_buffer()
    assert rig.livekit.starts == []


async def test_a_stop_that_was_decided_before_the_lease_was_lost_is_not_made(rig: Rig) -> None:
    rig.user_creates_buffer()
    await rig.bring_up()
    rig.user_deletes_buffer()
    rig.leads = False
    with pytest.raises(LeadershipLost, match="did not stop egress"):
        await rig.reconcile_buffer()
    assert rig.livekit.stops == []

"""What surrounds one buffer, in simulated time: LiveKit, its workers, a room, the agent's disk, the API.

Times are seconds since the history began. Figures are those measured on the real LiveKit (DESIGN §6).
"""

from __future__ import annotations

from tests.unit.world_agent import SimulatedAgent
from tests.unit.world_api_server import SimulatedApiServer
from tests.unit.world_faults import Faults
from tests.unit.world_fleet import Fleet
from tests.unit.world_livekit import SimulatedLiveKit
from tests.unit.world_time import SimulatedTime


class World:
    """Everything but the operator."""

    def __init__(self) -> None:
        self.time = SimulatedTime()
        self.faults = Faults(self.time)
        self.fleet = Fleet(self.time, self.faults)
        self.livekit = SimulatedLiveKit(self.time, self.faults, self.fleet)
        self.agent = SimulatedAgent(self.time, self.faults, self.fleet)
        self.api_server = SimulatedApiServer(self.time, self.faults)

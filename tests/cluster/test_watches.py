"""What the API server may answer to a watch, and the operator lives through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.small_install import SmallInstall, is_ready
from tests.testbed.api_faults import ApiFault, Reaction
from tests.testbed.api_front import serving
from tests.testbed.controlplane import ControlPlane
from tests.waiting import until

WATCHES = 4
"""Of both kinds, of Jobs and of pods."""

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]


@pytest.mark.parametrize("refused", ["", "/replaybuffers"], ids=["all", "one"])
async def test_watches_that_are_refused_with_410_begin_anew_in_the_same_process(
    install: SmallInstall, control_plane: ControlPlane, tmp_path: Path, refused: str
) -> None:
    gone = ApiFault(Reaction.REFUSE, only_watches=True, path=refused, statuses=(410,))
    async with serving(control_plane, as_administrator=True) as front:
        install.start_agent()
        operator = install.start_operator(kubeconfig=front.write_kubeconfig(tmp_path / "kubeconfig"))
        await until("an operator that watches", lambda: front.open_watches == WATCHES)
        await until("a ready operator", lambda: is_ready(operator))
        front.faults = (gone,)
        front.cut_watches()
        await until("watches that begin anew", lambda: operator.said().count("begin anew") >= 2)
        front.faults = ()
        await install.recording_buffer()
        await until("one watch of each kind", lambda: front.open_watches == WATCHES)
        assert operator.process.poll() is None, operator.said()
        assert "Traceback" not in operator.said()
        operator.process.terminate()
        assert await operator.exit_code() == 0, operator.said()

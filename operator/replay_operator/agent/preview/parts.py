"""The preview put together: what its requests need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from replay_operator.address_keys import AddressKeys
from replay_operator.agent.clock import AgentClock
from replay_operator.agent.daemon import Agent
from replay_operator.agent.file_work import FileWork
from replay_operator.agent.preview.book import PreviewBook
from replay_operator.agent.preview.figures import PreviewFigures
from replay_operator.agent.preview.hot_segments import HotSegments
from replay_operator.agent.preview.page_files import PageFile, page_files
from replay_operator.agent.preview.shown_runs import ShownRuns
from replay_operator.agent.settings import AgentSettings
from replay_operator.agent.volume import Volume
from replay_operator.agent.volume_facts import volume_facts
from replay_operator.domain.network_file_systems import is_over_network
from replay_operator.domain.quantity import parse_quantity


@dataclass(frozen=True, slots=True)
class ShownVolume:
    """A mounted volume, and whether reading it goes over a network."""

    root: Path
    over_network: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What the handlers need.

    Attributes:
        agent: Whose volumes are shown.
        book: Makes the playlists.
        hot: Segments in memory; None on a local volume, where the kernel keeps them.
        figures: Count what is looked at.
        keys: Open addresses.
        files: The way to file operations: one of its own, so that viewers never hold up the scan.
        buffers: The buffer volume.
        archive: The archive volume.
        clock: Tells the time.
        origins: Whose pages may play; `*` is any.
        page: The page that shows a buffer, by names of files.
    """

    agent: Agent
    book: PreviewBook
    hot: HotSegments | None
    figures: PreviewFigures
    keys: AddressKeys
    files: FileWork
    buffers: ShownVolume
    archive: ShownVolume
    clock: AgentClock
    origins: frozenset[str]
    page: Mapping[str, PageFile]


def is_remote_volume(root: Path) -> bool:
    """Say whether a volume is mounted from elsewhere, as far as its file system tells.

    Args:
        root: Where it is mounted.
    """
    facts = volume_facts(root)
    return facts is not None and is_over_network(facts.file_system)


def make_preview(
    agent: Agent,
    settings: AgentSettings,
    clock: AgentClock,
    *,
    is_remote: Callable[[Path], bool] = is_remote_volume,
) -> Preview:
    """Put the parts together. It looks at mounts and reads the page, and so blocks for a moment.

    Args:
        agent: Whose volumes are shown.
        settings: Everything that can be set.
        clock: Tells the time.
        is_remote: Says whether reading a volume goes over a network.
    """
    buffers = ShownVolume(settings.volume, is_remote(settings.volume))
    files = FileWork()
    memory_bytes = parse_quantity(settings.preview_memory) if buffers.over_network else 0
    runs = ShownRuns(Volume(settings.volume), files, clock.monotonic)
    hot = HotSegments(memory_bytes, clock.monotonic, agent.metrics) if memory_bytes else None
    return Preview(
        agent=agent,
        book=PreviewBook(agent.scanner, runs, clock),
        hot=hot,
        figures=PreviewFigures(agent.metrics, hot, clock.monotonic),
        keys=AddressKeys(settings.token_directory),
        files=files,
        buffers=buffers,
        archive=ShownVolume(settings.archive, is_remote(settings.archive)),
        clock=clock,
        origins=frozenset(filter(None, settings.preview_origins.split(","))),
        page=page_files(settings.preview_player),
    )

"""A buffer on a volume, an agent that owns it, and its preview on a loopback port that outlives the agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from aiohttp import web

from replay_operator.agent.preview.application import make_preview_app
from replay_operator.agent.preview.parts import make_preview
from replay_operator.agent.settings import AgentSettings
from replay_operator.domain.signed_address import Scope, SigningKey, signed_query
from tests.agent.process import free_port
from tests.agent.rig import BUFFER, T0, TOKEN, MovedClock, Rig, after, make_rig
from tests.browsers.hls_library import hls_library
from tests.media.segment_maker import RunShape, write_playlists

KEY = SigningKey(b"a-secret-that-nobody-guesses-0001")
UID = BUFFER.rpartition("/")[2]


@dataclass
class ShownBuffer:
    """What a browser is shown. The agent's clock stands still at the moment when the test began."""

    root: Path
    origins: Sequence[str] = ()
    player: Path = field(default_factory=hls_library)
    port: int = field(default_factory=free_port)
    clock: MovedClock = field(default_factory=lambda: MovedClock((datetime.now(UTC) - T0).total_seconds()))
    visits: Iterator[int] = field(default_factory=count)
    rig: Rig | None = None
    runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def directory(self) -> Path:
        return self.root / "buffer" / BUFFER

    def query(self, *, uid: str = UID, key: SigningKey = KEY, lives_seconds: int = 3600) -> str:
        return signed_query(key, Scope("buffer", uid), after(self.clock.seconds + lives_seconds))

    def page(self, query: str | None = None) -> str:
        """Give the address of the page; each is another one, so that a browser loads it anew."""
        return f"{self.url}/?{next(self.visits)}#v1/preview/{UID}/playlist.m3u8?{query or self.query()}"

    async def start(self) -> None:
        volume, secrets = self.root / "buffer", self.root / "agent-token"
        for directory in (volume, secrets):
            directory.mkdir(exist_ok=True, parents=True)
        (secrets / "token").write_text(TOKEN)
        (secrets / "preview-key").write_bytes(KEY.secret)
        self.rig = make_rig(volume, secrets, [], self.clock)
        await self.rig.start()
        await self.scan()
        settings = AgentSettings(
            volume=volume,
            archive=self.rig.archive,
            token_directory=secrets,
            preview_origins=",".join(self.origins),
            preview_player=self.player,
        )
        preview = make_preview(self.rig.agent, settings, self.clock)
        self.runner = web.AppRunner(make_preview_app(preview), access_log=None, shutdown_timeout=1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        assert self.runner is not None
        assert self.rig is not None
        await self.runner.cleanup()
        await self.rig.stop()

    async def restart(self) -> None:
        """Another agent takes over the volume, and knows nothing of what viewers were told."""
        await self.stop()
        await self.start()

    async def scan(self) -> None:
        assert self.rig is not None
        self.clock.advance(1)
        await self.rig.agent.scan()

    async def record(
        self, run: Path, shape: RunShape, first: int | None = None, *, name: str, ended: bool = False
    ) -> None:
        """Let the first segments of a run be on the volume, as if a worker had come so far."""
        if self.rig is not None and not (self.directory / name).exists():
            # The agent learns of new directories when it lists the volume again.
            self.clock.advance(60)
        self._copy(run, shape, first, self.directory / name, ended=ended)
        if self.rig is not None:
            await self.scan()

    async def forget(self, name: str, *indexes: int) -> None:
        """Let retention have deleted segments."""
        for index in indexes:
            (self.directory / name / f"seg_{index:05d}.ts").unlink()
        self.clock.advance(60)
        await self.scan()

    @staticmethod
    def _copy(run: Path, shape: RunShape, first: int | None, target: Path, *, ended: bool) -> None:
        target.mkdir(parents=True, exist_ok=True)
        segments = sorted(run.glob("seg_*.ts"))[:first]
        for file in (run / "run.json", *segments):
            if not (target / file.name).exists():
                shutil.copy2(file, target)
        write_playlists(target, shape, len(segments))
        if ended:
            with (target / "index.m3u8").open("a") as playlist:
                playlist.write("#EXT-X-ENDLIST\n")

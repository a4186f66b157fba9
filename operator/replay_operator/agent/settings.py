"""What the agent is told by its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from replay_operator.domain.free_space import parse_floor
from replay_operator.domain.quantity import parse_quantity
from replay_operator.logs import LogFormat, LogLevel, LogLevels

Seconds = Annotated[float, Field(ge=0)]


def _checked_floor(text: str) -> str:
    parse_floor(text)
    return text


def _checked_quantity(text: str) -> str:
    parse_quantity(text)
    return text


class AgentSettings(BaseSettings):
    """Settings of `replay-operator agent`, each from `REPLAY_AGENT_<NAME>`.

    Attributes:
        volume: Where the buffer volume is mounted.
        archive: Where the archive volume is mounted.
        bind_address: Address to listen on; the manifests give the pod's own.
        port: TCP port to listen on; 0 takes a free one.
        token_directory: The mounted Secret with `token` and, during a rotation, `previous-token`.
        scan_interval_seconds: How often the playlists of live runs are looked at.
        relist_interval_seconds: How often directories are listed, to find what came by another way.
        retention_interval_seconds: How often segments are deleted.
        silence_seconds: Without an accepted policy for so long, nothing is deleted (DESIGN §4).
        startup_quiet_seconds: Nothing is deleted so soon after the start.
        orphan_grace_seconds: How long a directory that no policy names stays.
        part_grace_seconds: How long an unfinished file of an ended capture stays on the archive volume.
        free_space_floor: What has to stay free of the buffer volume: a share (5%) or bytes (2Gi).
        floor_interval_seconds: How often the free space is looked at.
        preview_port: TCP port that shows buffers and clips to people; None: none does.
        preview_memory: What segments may take in memory, so that viewers share a read of a network volume.
        preview_origins: Origins whose pages may play, and show and hear the page, with commas; `*` is any.
        preview_player: The player library hls.js, which the page needs.
        log_level: How much is logged.
        log_levels: The same of single parts, such as `agent.scan=DEBUG`.
        log_format: Lines of text, or of JSON.
    """

    model_config = SettingsConfigDict(env_prefix="REPLAY_AGENT_", frozen=True)

    volume: Path = Path("/buffer")
    archive: Path = Path("/archive")
    bind_address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8480
    token_directory: Path = Path("/etc/replay/agent-token")
    scan_interval_seconds: Annotated[float, Field(gt=0)] = 1.0
    relist_interval_seconds: Seconds = 60.0
    retention_interval_seconds: Annotated[float, Field(gt=0)] = 10.0
    silence_seconds: Seconds = 60.0
    startup_quiet_seconds: Seconds = 30.0
    orphan_grace_seconds: Seconds = 600.0
    part_grace_seconds: Seconds = 3600.0
    free_space_floor: Annotated[str, AfterValidator(_checked_floor)] = "5%"
    floor_interval_seconds: Annotated[float, Field(gt=0)] = 1.0
    preview_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    preview_memory: Annotated[str, AfterValidator(_checked_quantity)] = "64Mi"
    preview_origins: Annotated[str, Field(pattern=r"^(\*|https?://[^/,\s]+(,https?://[^/,\s]+)*)?$")] = ""
    preview_player: Path = Path("/opt/player/hls.js")
    log_level: LogLevel = "INFO"
    log_levels: LogLevels = ""
    log_format: LogFormat = "text"

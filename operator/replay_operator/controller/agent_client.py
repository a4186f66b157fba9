"""The operator's side of the agent protocol."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import aiofiles
import aiohttp
from pydantic import ValidationError

from replay_operator.api.agent import ClipDeletion, Coverage, Policy, PolicyAck, Refused, RunFile
from replay_operator.api.model import ApiModel
from replay_operator.api.volume_facts import AgentFacts
from replay_operator.bearer_tokens import TOKEN_FILES
from replay_operator.domain.layout import RunPath

REQUEST_TIMEOUT = timedelta(seconds=5)

T = TypeVar("T", bound=ApiModel)


class AgentUnavailable(Exception):
    """The agent did not do what was asked; nothing is known about the volume until it does."""


class NotItsClip(Exception):
    """The agent will not delete a file: it does not belong to that capture, or its path makes no sense."""


class AgentClient:
    """Talks to the one agent of the install.

    The token is read from its file for each request: a rotated Secret is in force at once. The agent's mount
    may follow a minute later: if it refuses the token it is asked with `previous-token`, where there is one.
    """

    def __init__(self, url: str, token_file: Path, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._session = session

    async def put_policy(self, policy: Policy) -> PolicyAck:
        """Send the whole policy; give which one is in force then (a newer one stays)."""
        return _read(PolicyAck, await self._call("PUT", "/v1/policy", policy, refusal_is_answer=409))

    async def put_run(self, path: RunPath, run: RunFile) -> None:
        """Make a run's directory, or complete its `run.json`."""
        await self._call("PUT", f"/v1/runs/{path.relative}", run)

    async def delete_clip(self, deletion: ClipDeletion) -> None:
        """Delete a clip with what lies beside it; one that is gone already is as good.

        Raises:
            NotItsClip: Asking again would be refused again.
            AgentUnavailable: Nobody knows whether it is gone.
        """
        await self._on_archive("/v1/clips/delete", deletion)

    async def drop_clip(self, deletion: ClipDeletion) -> None:
        """Delete a clip that is elsewhere too, and nothing beside it; one that is gone already is as good.

        An agent of a version that does not know this deletes nothing: it has a way of its own.

        Raises:
            NotItsClip: Asking again would be refused again.
            AgentUnavailable: Nobody knows whether it is gone.
        """
        await self._on_archive("/v1/clips/drop", deletion)

    async def _on_archive(self, path: str, deletion: ClipDeletion) -> None:
        answer = await self._call("POST", path, deletion, refusal_is_answer=409)
        refusal = _read(Refused, answer).error
        if refusal is not None:
            raise NotItsClip(refusal)

    async def coverage(self, since: str | None = None) -> Coverage:
        """Ask what lies on the volume.

        Args:
            since: Mark of the last answer, to hear only of what has changed; None: of everything.
        """
        query = {"since": since} if since else {}
        return _read(Coverage, await self._call("GET", "/v1/coverage", query=query))

    async def facts(self) -> AgentFacts:
        """Ask how the agent is, and how its volumes are mounted and filled."""
        return _read(AgentFacts, await self._call("GET", "/v1/volume"))

    async def _call(
        self,
        method: str,
        path: str,
        body: ApiModel | None = None,
        *,
        query: Mapping[str, str] | None = None,
        refusal_is_answer: int = 0,
    ) -> bytes:
        try:
            status, text = await self._ask(await _secret(self._token_file), method, path, body, query)
            if status == HTTPStatus.UNAUTHORIZED:
                with suppress(FileNotFoundError):
                    before = await _secret(self._token_file.with_name(TOKEN_FILES[1]))
                    status, text = await self._ask(before, method, path, body, query)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AgentUnavailable(
                f"the agent did not answer {method} {path}: {type(error).__name__}"
            ) from error
        if status < HTTPStatus.BAD_REQUEST or status == refusal_is_answer:
            return text
        said = text[:200].decode(errors="replace")
        raise AgentUnavailable(f"the agent answered {status} to {method} {path}: {said}")

    async def _ask(
        self, token: str, method: str, path: str, body: ApiModel | None, query: Mapping[str, str] | None
    ) -> tuple[int, bytes]:
        async with self._session.request(
            method,
            self._url + path,
            params=query,
            data=body.model_dump_json(by_alias=True, exclude_none=True) if body else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT.total_seconds()),
        ) as response:
            return response.status, await response.read()


async def _secret(path: Path) -> str:
    async with aiofiles.open(path, encoding="utf-8") as file:
        return (await file.read()).strip()


def _read(model: type[T], text: bytes) -> T:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise AgentUnavailable(
            f"the agent's answer is no {model.__name__}: check that operator and agent run one version"
        ) from error

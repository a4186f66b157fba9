"""The settings of an install, read from what its pod was given instead of from this process's environment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from replay_operator.domain.checks.facts import Choices, SettingsFacts
from replay_operator.domain.checks.objects import Json
from replay_operator.settings import OperatorSettings, UploadSettings

PREFIX = "REPLAY_"

NAMESPACE = "POD_NAMESPACE"

_SECRET = "a-secret-that-nobody-looked-at"  # noqa: S105 - stands for a value that is not read
_LINK = re.compile(r"_(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_\w+)?)$")
"""Variables that a Service adds to the pods beside it, unless enableServiceLinks is off."""


class _OnlyGiven(BaseSettings):
    """Takes what it is given, and nothing from the environment of this process."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings passes all five by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - see above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic-settings."""
        return (init_settings,)


class _GivenSettings(_OnlyGiven, OperatorSettings):
    """The settings of an install."""


class _GivenUploads(_OnlyGiven, UploadSettings):
    """What of them is about object storage."""


def variable_names() -> dict[str, str]:
    """Give the name of the environment variable of each setting, by the setting's own name."""
    return {
        name: field.validation_alias if isinstance(field.validation_alias, str) else f"{PREFIX}{name}".upper()
        for name, field in OperatorSettings.model_fields.items()
    }


def _upload_variables() -> dict[str, str]:
    return {name: f"{PREFIX}UPLOAD_{name}".upper() for name in UploadSettings.model_fields}


def read_settings(
    variables: Mapping[str, str], source: str, changed_at: datetime | None = None
) -> tuple[SettingsFacts, OperatorSettings | None]:
    """Read settings, and tell how it went.

    Args:
        variables: As the operator's container gets them.
        source: Where they are from, for the message.
        changed_at: When they were changed after the operator had started, if they were.
    """
    names, of_uploads = variable_names(), _upload_variables()
    troubles: list[str] = []
    settings, target = None, None
    try:
        settings = given_settings(variables)
    except ValidationError as trouble:
        troubles += [_sentence(detail, names) for detail in trouble.errors(include_input=False)]
    try:
        given: dict[str, Any] = {name: variables[v] for name, v in of_uploads.items() if v in variables}
        target = _GivenUploads(**given).target()
    except ValidationError as trouble:
        troubles += [_sentence(detail, of_uploads) for detail in trouble.errors(include_input=False)]
    error = "; ".join(troubles)
    known = frozenset([*names.values(), *of_uploads.values()])
    unknown = {name: _meant(name, known) for name in variables if _is_no_setting(name, known)}
    return SettingsFacts(source, error, unknown, changed_at, target), settings


def given_settings(variables: Mapping[str, str]) -> OperatorSettings:
    """Make settings of these variables alone.

    Args:
        variables: By name, such as REPLAY_FLEET.

    Raises:
        ValidationError: They are not valid.
    """
    fields = OperatorSettings.model_fields
    given: dict[str, Any] = {
        (name if fields[name].validation_alias is None else variable): variables[variable]
        for name, variable in variable_names().items()
        if variable in variables
    }
    return _GivenSettings(**given)


def choices_of(settings: OperatorSettings) -> Choices:
    """Pick what the checks need.

    Args:
        settings: All settings.
    """
    return Choices(
        buffer_claim=settings.buffer_claim,
        buffer_access_mode=settings.buffer_access_mode,
        archive_claim=settings.archive_claim,
        archive_access_mode=settings.archive_access_mode,
        buffer_root=settings.buffer_root,
        segment_seconds=settings.segment_duration_seconds,
        fleet=settings.fleet,
        fleet_selector=settings.fleet_selector,
        buffers_per_worker=settings.buffers_per_worker,
        fleet_min=settings.fleet_min,
        fleet_max=settings.fleet_max,
        max_buffers=settings.max_buffers,
        capture_image=settings.capture_image,
    )


def config_maps_of(container: Json) -> tuple[str, ...]:
    """Name the ConfigMaps that the operator's settings come from, in their order.

    Args:
        container: Of the operator.
    """
    entries = container.get("envFrom") or ()
    return tuple(entry["configMapRef"]["name"] for entry in entries if "configMapRef" in entry)


def declared_variables(
    container: Json, config_maps: Iterable[Mapping[str, str]], namespace: str
) -> dict[str, str]:
    """Give the variables that the operator gets when it starts the next time.

    Args:
        container: Of the operator; its own variables win over those of ConfigMaps.
        config_maps: Their data, in the order of `config_maps_of`.
        namespace: Of the install.
    """
    variables: dict[str, str] = {}
    for data in config_maps:
        variables |= data
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        if "secretKeyRef" in source:
            variables[entry["name"]] = _SECRET
        elif not source:
            variables[entry["name"]] = entry.get("value", "")
    return variables | {NAMESPACE: namespace}


def _sentence(detail: Any, names: Mapping[str, str]) -> str:
    place = str(detail["loc"][0]) if detail["loc"] else ""
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"{names.get(place, place)}: {message}" if place else message


def _is_no_setting(name: str, known: frozenset[str]) -> bool:
    return name.startswith(PREFIX) and name not in known and not _LINK.search(name)


def _meant(name: str, known: frozenset[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.8)), "")

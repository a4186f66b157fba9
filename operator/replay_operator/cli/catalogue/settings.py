"""What `replay-operator catalogue` is told by its environment: the operator's own variables."""

from __future__ import annotations

from pydantic import NonNegativeInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from replay_operator.domain.quantity import parse_quantity
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.settings import Quantity


class CatalogueSettings(BaseSettings):
    """Where the catalogue is, and what every owner may have."""

    model_config = SettingsConfigDict(env_prefix="REPLAY_", frozen=True, hide_input_in_errors=True)

    catalogue_url: SecretStr | None = None
    quota_cache_url: SecretStr | None = None
    max_buffers_per_owner: NonNegativeInt | None = None
    max_archive_per_owner: Quantity | None = None
    max_captures_per_owner_minute: NonNegativeInt | None = None
    max_captures_per_owner_hour: NonNegativeInt | None = None

    def quota_limits(self) -> QuotaLimits:
        """Give what every owner may have who has no limits of its own."""
        archive = self.max_archive_per_owner
        return QuotaLimits(
            archive_bytes=None if archive is None else parse_quantity(archive),
            buffers=self.max_buffers_per_owner,
            captures_per_minute=self.max_captures_per_owner_minute,
            captures_per_hour=self.max_captures_per_owner_hour,
        )

"""The operator's settings, from environment variables with the prefix REPLAY_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from replay_operator.domain.notification import signing_key
from replay_operator.domain.quantity import parse_quantity
from replay_operator.domain.quotas import QuotaLimits
from replay_operator.domain.signed_address import LONGEST_SECONDS
from replay_operator.domain.upload_target import UploadTarget, checked_target
from replay_operator.logs import LogFormat, LogLevel, LogLevels

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany"]


def _quantity(text: str) -> str:
    parse_quantity(text)
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]


class LiveKitSettings(BaseSettings):
    """How to reach LiveKit: the variables that LiveKit's own tools use."""

    model_config = SettingsConfigDict(env_prefix="LIVEKIT_", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, Field(min_length=1, description="Such as http://livekit:7880.")]
    api_key: Annotated[str, Field(min_length=1)]
    api_secret: SecretStr


class CatalogueSettings(BaseSettings):
    """Where the catalogue is, and what every owner may have: for the operator and for the command line."""

    model_config = SettingsConfigDict(env_prefix="REPLAY_", frozen=True, hide_input_in_errors=True)

    catalogue_url: Annotated[
        SecretStr | None,
        Field(description="sqlite:////path/to/file or postgresql://...; absent or empty: no catalogue."),
    ] = None
    quota_cache_url: Annotated[
        SecretStr | None,
        Field(description="redis://host:6379/0, shared by several processes; absent: in memory."),
    ] = None
    max_buffers_per_owner: Annotated[int | None, Field(ge=0, description="Absent: no limit.")] = None
    max_archive_per_owner: Annotated[
        Quantity | None, Field(description="What all clips of an owner may take; absent: no limit.")
    ] = None
    max_captures_per_owner_minute: Annotated[int | None, Field(ge=0, description="Absent: no limit.")] = None
    max_captures_per_owner_hour: Annotated[int | None, Field(ge=0, description="Absent: no limit.")] = None

    def quota_limits(self) -> QuotaLimits:
        """Give what every owner may have who has no limits of its own."""
        archive = self.max_archive_per_owner
        return QuotaLimits(
            archive_bytes=None if archive is None else parse_quantity(archive),
            buffers=self.max_buffers_per_owner,
            captures_per_minute=self.max_captures_per_owner_minute,
            captures_per_hour=self.max_captures_per_owner_hour,
        )


class UploadSettings(BaseSettings):
    """Where clips go beside the archive volume: a bucket of any S3. Credentials are not among them."""

    model_config = SettingsConfigDict(env_prefix="REPLAY_UPLOAD_", frozen=True, hide_input_in_errors=True)

    bucket: Annotated[str | None, Field(description="Absent or empty: clips stay on the volume.")] = None
    endpoint: Annotated[
        str | None, Field(description="Base URL of the S3 API; absent: that of AWS in the region.")
    ] = None
    region: Annotated[str, Field(min_length=1, description="Requests are signed for it.")] = "us-east-1"
    prefix: Annotated[str, Field(description="Comes before each key, without slashes at its ends.")] = ""
    tags: Annotated[
        str,
        Field(
            pattern="^$|^[^=,]+=[^,]+(,[^=,]+=[^,]+)*$",
            description="name=value and commas, given to each object, for lifecycle rules.",
        ),
    ] = ""
    keep_local_copy: Annotated[bool, Field(description="The clip stays on the archive volume too.")] = True
    max_jobs: Annotated[int, Field(ge=1, description="Upload Jobs at once.")] = 2
    deadline_seconds: Annotated[
        int, Field(ge=60, description="An attempt that takes longer is ended; the next one goes on there.")
    ] = 3600
    service_account: Annotated[str, Field(min_length=1, description="Of the Jobs: workload identity.")] = (
        "replay-upload"
    )
    credentials_secret: Annotated[
        str,
        Field(
            description="Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps AWS_SESSION_TOKEN; "
            "empty: the identity of the Jobs."
        ),
    ] = ""
    ca_config_map: Annotated[
        str, Field(description="ConfigMap with `ca.crt`, in place of the public authorities; empty: these.")
    ] = ""

    def target(self) -> UploadTarget | None:
        """Give the bucket, or None when the install has none."""
        if not self.bucket:
            return None
        pairs = (tag.partition("=") for tag in self.tags.split(",") if tag)
        return UploadTarget(
            bucket=self.bucket,
            endpoint=(self.endpoint or f"https://s3.{self.region}.amazonaws.com").rstrip("/"),
            region=self.region,
            prefix=self.prefix,
            tags=tuple((name, value) for name, _, value in pairs),
            keep_local_copy=self.keep_local_copy,
        )

    @model_validator(mode="after")
    def _names_a_bucket(self) -> Self:
        target = self.target()
        if target is not None:
            checked_target(target)
        return self


class OperatorSettings(CatalogueSettings):
    """Everything that an install decides. ReadWriteOncePod is refused: several pods share the volumes."""

    model_config = SettingsConfigDict(env_prefix="REPLAY_", frozen=True, hide_input_in_errors=True)

    namespace: Annotated[str, Field(validation_alias="POD_NAMESPACE", min_length=1)]
    pod_name: Annotated[str, Field(validation_alias="POD_NAME")] = "replay-operator"
    kubeconfig: Path | None = None
    bind_address: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Of /metrics, /healthz and /readyz.")] = 8080
    log_level: LogLevel = "INFO"
    log_levels: Annotated[LogLevels, Field(description="Of single parts: livekit=DEBUG,kopf=WARNING.")] = ""
    log_format: LogFormat = "text"

    buffer_claim: str = "replay-buffers"
    buffer_claim_size: Quantity = "20Gi"
    buffer_claim_max: Annotated[Quantity, Field(description="It grows to this size at most.")] = "200Gi"
    buffer_claim_headroom_percent: Annotated[
        int, Field(ge=0, le=400, description="Beyond what the windows of all buffers fill.")
    ] = 20
    buffer_storage_class: str = ""
    buffer_access_mode: AccessMode = "ReadWriteMany"
    archive_claim: str = "replay-archive"
    archive_claim_size: Quantity = "100Gi"
    archive_storage_class: str = ""
    archive_access_mode: AccessMode = "ReadWriteMany"
    buffer_root: Annotated[
        str, Field(pattern="^/", description="Where the egress workers mount the buffer volume.")
    ] = "/buffer"

    segment_duration_seconds: Annotated[int, Field(ge=2, le=15)] = 10
    livekit_poll_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    coverage_poll_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0

    agent_url: str = "http://replay-agent:8480"
    agent_token_directory: Path = Path("/etc/replay/agent-token")

    fleet: Annotated[str, Field(description="Name of the egress Deployment and its autoscaler.")] = (
        "livekit-egress"
    )
    buffers_per_worker: Annotated[int, Field(ge=1, le=64)] = 4
    fleet_min: Annotated[int, Field(ge=1)] = 2
    fleet_max: Annotated[int, Field(ge=1)] = 20
    fleet_headroom: Annotated[int, Field(ge=0)] = 1
    fleet_lower_after_seconds: Annotated[
        int, Field(ge=0, description="The fleet shrinks when fewer workers have done for so long.")
    ] = 600
    pod_deletion_cost: Annotated[
        bool, Field(description="Busy workers get a deletion cost; needs the verb patch on pods.")
    ] = False

    capture_image: Annotated[str, Field(min_length=1, description="Image of the capture Job.")]
    capture_service_account: str = "replay-capture"
    capture_deadline_seconds: Annotated[int, Field(ge=30)] = 1800
    capture_retries: Annotated[int, Field(ge=0, le=10)] = 2
    max_capture_jobs: Annotated[int, Field(ge=1, description="Capture Jobs at once.")] = 3
    capture_lead_seconds: Annotated[
        float, Field(ge=0, le=60, description="A Job is made so long before its last segment is due.")
    ] = 5.0
    capture_job_keep_seconds: Annotated[
        int, Field(ge=0, description="How long a finished Job stays, with the log of its pods.")
    ] = 3600
    capture_priority_class: str = ""
    capture_node_labels: Annotated[
        str,
        Field(
            pattern="^$|^[^=,]+=[^=,]*(,[^=,]+=[^=,]*)*$",
            description="Labels, name=value and commas, that the node of a capture Job must carry.",
        ),
    ] = ""
    clip_deletion_timeout_seconds: Annotated[
        int, Field(ge=1, description="A capture that is deleted with its clip is gone after this time.")
    ] = 300

    notify_url: Annotated[
        str | None,
        Field(
            pattern="^https?://",
            description="Told when a clip is ready, has failed or is uploaded; absent: nobody.",
        ),
    ] = None
    notify_secret: Annotated[SecretStr | None, Field(description="Signs what is sent there.")] = None

    catalogue_api_port: Annotated[
        int | None, Field(ge=1, le=65535, description="Serve the catalogue's read API here; absent: do not.")
    ] = None
    catalogue_api_token_directory: Path = Path("/etc/replay/catalogue-api-token")
    preview_api_port: Annotated[
        int | None,
        Field(ge=1, le=65535, description="Hand out addresses of previews and clips here; absent: do not."),
    ] = None
    preview_api_token_directory: Path = Path("/etc/replay/preview-api-token")
    preview_url: Annotated[
        str | None,
        Field(pattern="^https?://[^?#]+$", description="Where browsers reach the agent's preview port."),
    ] = None
    preview_address_seconds: Annotated[
        int, Field(ge=10, le=LONGEST_SECONDS, description="How long such an address is good.")
    ] = 900
    clip_keep_days: Annotated[
        int | None,
        Field(ge=1, description="Clips whose ReplayCapture is gone are deleted after it; absent: never."),
    ] = None
    clip_keep_quota_percent: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            description="Of these, an owner's oldest go when all take more of its quota; absent: none.",
        ),
    ] = None

    fleet_selector: Annotated[
        str,
        Field(pattern="^[^=,]+=[^=,]+$", description="One label, name=value, that the fleet's pods carry."),
    ] = "app.kubernetes.io/name=livekit-egress"
    fleet_health_port: Annotated[int, Field(ge=1, le=65535, description="health_port of the workers.")] = 8080
    max_buffers: Annotated[int | None, Field(ge=0, description="Absent: no limit.")] = None
    max_buffers_per_room: Annotated[int | None, Field(ge=0, description="Absent: no limit.")] = None
    write_budget_mbps: Annotated[
        int | None, Field(ge=1, description="MB/s that all buffers may write; absent: no limit.")
    ] = None
    max_run_age_seconds: Annotated[
        int, Field(ge=300, le=86400, description="A run is handed over at this age: none lives for ever.")
    ] = 7200
    webhook_port: Annotated[
        int | None, Field(ge=1, le=65535, description="Listen for LiveKit's webhooks here; absent: do not.")
    ] = None
    lease: Annotated[str, Field(description="Name of the Lease that the leader holds.")] = "replay-operator"

    workers: Annotated[int, Field(ge=1, description="Reconciles at once.")] = 64

    @model_validator(mode="after")
    def _signs_what_it_tells(self) -> Self:
        if self.notify_url is None:
            return self
        secret = self.notify_secret.get_secret_value() if self.notify_secret else ""
        if not secret:
            raise ValueError("REPLAY_NOTIFY_URL needs REPLAY_NOTIFY_SECRET: nothing is sent unsigned")
        try:
            signing_key(secret)
        except ValueError:
            # Not the error itself: it may hold part of the secret.
            raise ValueError("REPLAY_NOTIFY_SECRET begins with whsec_, and no base64 follows") from None
        return self

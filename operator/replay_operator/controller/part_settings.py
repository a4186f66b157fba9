"""What each part of the operator needs of the settings."""

from __future__ import annotations

from datetime import timedelta

from replay_operator.cluster.jobs import JobSettings
from replay_operator.cluster.upload_jobs import UploadJobSettings
from replay_operator.controller.capacity import CapacitySettings
from replay_operator.controller.claims import ClaimSettings
from replay_operator.controller.fleet import FleetSettings
from replay_operator.controller.install import InstallSettings
from replay_operator.domain.admission import MEGABYTE, Limits
from replay_operator.domain.claims import ClaimPlan
from replay_operator.domain.clip_retention import ClipRetentionLimits
from replay_operator.domain.quantity import parse_quantity
from replay_operator.settings import OperatorSettings, UploadSettings


def install_settings(settings: OperatorSettings, *, epoch: int) -> InstallSettings:
    """Pick what the install reconciler needs.

    Args:
        settings: All settings.
        epoch: Of this leader.
    """
    return InstallSettings(
        namespace=settings.namespace,
        epoch=epoch,
        default_segment_seconds=settings.segment_duration_seconds,
    )


def capacity_settings(settings: OperatorSettings) -> CapacitySettings:
    """Pick what the volumes, the fleet and the limits are to be."""
    size, largest = parse_quantity(settings.buffer_claim_size), parse_quantity(settings.buffer_claim_max)
    archive_size = parse_quantity(settings.archive_claim_size)
    budget = settings.write_budget_mbps
    return CapacitySettings(
        namespace=settings.namespace,
        buffer_claim=ClaimSettings(
            ClaimPlan(
                name=settings.buffer_claim,
                min_bytes=size,
                max_bytes=max(size, largest),
                access_mode=settings.buffer_access_mode,
                setting="REPLAY_BUFFER_CLAIM_MAX",
            ),
            settings.buffer_storage_class,
        ),
        archive_claim=ClaimSettings(
            ClaimPlan(
                name=settings.archive_claim,
                min_bytes=archive_size,
                max_bytes=archive_size,
                access_mode=settings.archive_access_mode,
                setting="REPLAY_ARCHIVE_CLAIM_SIZE",
            ),
            settings.archive_storage_class,
        ),
        headroom_percent=settings.buffer_claim_headroom_percent,
        fleet=FleetSettings(
            name=settings.fleet,
            per_worker=settings.buffers_per_worker,
            headroom=settings.fleet_headroom,
            minimum=settings.fleet_min,
            maximum=settings.fleet_max,
            lower_after=timedelta(seconds=settings.fleet_lower_after_seconds),
            deletion_cost=settings.pod_deletion_cost,
        ),
        limits=Limits(
            total=settings.max_buffers,
            of_owner=settings.max_buffers_per_owner,
            of_room=settings.max_buffers_per_room,
            write_bytes_per_second=budget * MEGABYTE if budget is not None else None,
        ),
    )


def clip_retention_limits(settings: OperatorSettings) -> ClipRetentionLimits:
    """Pick what is kept of the clips whose ReplayCapture is gone."""
    days = settings.clip_keep_days
    return ClipRetentionLimits(
        age=None if days is None else timedelta(days=days), quota_percent=settings.clip_keep_quota_percent
    )


def job_settings(settings: OperatorSettings) -> JobSettings:
    """Pick what every capture Job needs."""
    return JobSettings(
        image=settings.capture_image,
        buffer_claim=settings.buffer_claim,
        archive_claim=settings.archive_claim,
        service_account=settings.capture_service_account,
        deadline_seconds=settings.capture_deadline_seconds,
        retries=settings.capture_retries,
        # The agent holds both volumes: a volume of one node is where the agent is.
        beside_agent="ReadWriteOnce" in (settings.buffer_access_mode, settings.archive_access_mode),
        priority_class=settings.capture_priority_class,
        node_labels=node_labels(settings.capture_node_labels),
        fleet_label=settings.fleet_selector.partition("=")[0],
    )


def upload_job_settings(settings: OperatorSettings, uploads: UploadSettings) -> UploadJobSettings:
    """Pick what every upload Job needs.

    Args:
        settings: All settings but those of uploads.
        uploads: The settings of uploads.
    """
    return UploadJobSettings(
        image=settings.capture_image,
        archive_claim=settings.archive_claim,
        service_account=uploads.service_account,
        beside_agent=settings.archive_access_mode == "ReadWriteOnce",
        deadline_seconds=uploads.deadline_seconds,
        credentials_secret=uploads.credentials_secret,
        ca_config_map=uploads.ca_config_map,
        keep_seconds=settings.capture_job_keep_seconds,
        node_labels=node_labels(settings.capture_node_labels),
    )


def node_labels(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name=value,name=value`; the settings have checked its form."""
    pairs = (label.partition("=") for label in text.split(",") if label)
    return tuple((name, value) for name, _, value in pairs)

"""What each part of the operator needs of the settings."""

from __future__ import annotations

from replay_operator.cluster.claims import ClaimRequest
from replay_operator.cluster.jobs import JobSettings
from replay_operator.controller.install import FleetSettings, InstallSettings
from replay_operator.settings import OperatorSettings


def install_settings(settings: OperatorSettings, *, epoch: int) -> InstallSettings:
    """Pick what the install reconciler needs.

    Args:
        settings: All settings.
        epoch: Of this leader.
    """
    return InstallSettings(
        namespace=settings.namespace,
        claims=(
            ClaimRequest(
                settings.buffer_claim,
                settings.buffer_claim_size,
                settings.buffer_storage_class,
                settings.buffer_access_mode,
            ),
            ClaimRequest(
                settings.archive_claim,
                settings.archive_claim_size,
                settings.archive_storage_class,
                settings.archive_access_mode,
            ),
        ),
        fleet=FleetSettings(
            name=settings.fleet,
            per_worker=settings.buffers_per_worker,
            headroom=settings.fleet_headroom,
            minimum=settings.fleet_min,
            maximum=settings.fleet_max,
        ),
        epoch=epoch,
        default_segment_seconds=settings.segment_duration_seconds,
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


def node_labels(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name=value,name=value`; the settings have checked its form."""
    pairs = (label.partition("=") for label in text.split(",") if label)
    return tuple((name, value) for name, _, value in pairs)

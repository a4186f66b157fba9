"""Settings from the environment."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from replay_operator.controller.part_settings import capacity_settings, job_settings
from replay_operator.domain.quantity import GIB
from replay_operator.settings import LiveKitSettings, OperatorSettings

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what an install must say."""
    for name in list(os.environ):
        if name.startswith(("REPLAY_", "LIVEKIT_", "POD_")):
            monkeypatch.delenv(name)
    for name, value in {
        "POD_NAMESPACE": "team",
        "REPLAY_CAPTURE_IMAGE": "registry.example/replay-operator:1",
        "LIVEKIT_URL": "http://livekit:7880",
        "LIVEKIT_API_KEY": "devkey",
        "LIVEKIT_API_SECRET": SECRET,
    }.items():
        monkeypatch.setenv(name, value)


def test_an_install_says_its_namespace_and_its_image_and_the_rest_has_defaults() -> None:
    settings = OperatorSettings()
    assert (settings.namespace, settings.capture_image) == ("team", "registry.example/replay-operator:1")
    assert (settings.segment_duration_seconds, settings.fleet_min, settings.fleet_max) == (10, 2, 20)
    assert settings.bind_address == "127.0.0.1", "whoever wants more says so"


@pytest.mark.parametrize(
    ("variable", "named"), [("POD_NAMESPACE", "POD_NAMESPACE"), ("REPLAY_CAPTURE_IMAGE", "capture_image")]
)
def test_what_an_install_must_say_is_missed_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, named: str
) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(ValidationError, match=named):
        OperatorSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPLAY_BUFFER_ACCESS_MODE", "ReadWriteOncePod"),
        ("REPLAY_BUFFER_ROOT", "relative/path"),
        ("REPLAY_SEGMENT_DURATION_SECONDS", "1"),
        ("REPLAY_SEGMENT_DURATION_SECONDS", "16"),
        ("REPLAY_SEGMENT_DURATION_SECONDS", "2.5"),
        ("REPLAY_LIVEKIT_POLL_SECONDS", "0"),
        ("REPLAY_COVERAGE_POLL_SECONDS", "-1"),
        ("REPLAY_FLEET_MIN", "0"),
        ("REPLAY_BUFFERS_PER_WORKER", "0"),
        ("REPLAY_CAPTURE_IMAGE", ""),
        ("REPLAY_CAPTURE_RETRIES", "11"),
        ("REPLAY_MAX_CAPTURE_JOBS", "0"),
        ("REPLAY_CAPTURE_LEAD_SECONDS", "-1"),
        ("REPLAY_CAPTURE_NODE_LABELS", "disk"),
        ("REPLAY_CAPTURE_NODE_LABELS", "disk=fast,"),
        ("REPLAY_CLIP_DELETION_TIMEOUT_SECONDS", "0"),
        ("REPLAY_NOTIFY_URL", "backend.example/events"),
        ("REPLAY_LOG_LEVEL", "chatty"),
        ("REPLAY_PORT", "70000"),
        ("REPLAY_WORKERS", "0"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=name.removeprefix("REPLAY_").lower()):
        OperatorSettings()


def test_a_setting_is_taken_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_SEGMENT_DURATION_SECONDS", "4")
    monkeypatch.setenv("REPLAY_BUFFER_ACCESS_MODE", "ReadWriteOnce")
    settings = OperatorSettings()
    assert (settings.segment_duration_seconds, settings.buffer_access_mode) == (4, "ReadWriteOnce")


def test_settings_cannot_be_changed_while_the_process_runs() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        OperatorSettings().fleet_max = 99  # type: ignore[misc] # that is the point


def test_livekits_secret_is_in_no_text_of_its_settings() -> None:
    settings = LiveKitSettings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"
    assert settings.api_secret.get_secret_value() == SECRET


@pytest.mark.parametrize("missing", ["LIVEKIT_URL", "LIVEKIT_API_KEY"])
def test_the_complaint_about_a_missing_variable_does_not_tell_the_secret(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(ValidationError) as refused:
        LiveKitSettings()
    assert missing.removeprefix("LIVEKIT_").lower() in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "said"), [(None, "REPLAY_NOTIFY_SECRET"), ("", "unsigned"), ("whsec_s3cr3t?", "no base64")]
)
def test_nothing_is_sent_unsigned(monkeypatch: pytest.MonkeyPatch, secret: str | None, said: str) -> None:
    monkeypatch.setenv("REPLAY_NOTIFY_URL", "https://backend.example/events")
    if secret is not None:
        monkeypatch.setenv("REPLAY_NOTIFY_SECRET", secret)
    with pytest.raises(ValidationError, match=said) as refused:
        OperatorSettings()
    assert SECRET not in str(refused.value)


def test_the_secret_that_signs_is_in_no_text_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_NOTIFY_URL", "https://backend.example/events")
    monkeypatch.setenv("REPLAY_NOTIFY_SECRET", SECRET)
    settings = OperatorSettings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"
    monkeypatch.setenv("REPLAY_WORKERS", "none")
    with pytest.raises(ValidationError) as refused:
        OperatorSettings()
    assert SECRET not in str(refused.value)


def test_a_jobs_node_labels_are_read_from_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert job_settings(OperatorSettings()).node_labels == ()
    monkeypatch.setenv("REPLAY_CAPTURE_NODE_LABELS", "disk=fast,example.com/pool=media")
    assert job_settings(OperatorSettings()).node_labels == (("disk", "fast"), ("example.com/pool", "media"))


def test_a_label_of_a_jobs_node_may_have_no_value_as_those_of_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_CAPTURE_NODE_LABELS", "node-role.kubernetes.io/media=,disk=fast")
    labels = job_settings(OperatorSettings()).node_labels
    assert labels == (("node-role.kubernetes.io/media", ""), ("disk", "fast"))


@pytest.mark.parametrize("text", ["disk", "=fast", "disk=fast,", "disk=fast,pool", "a=b=c"])
def test_what_is_no_label_of_a_node_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REPLAY_CAPTURE_NODE_LABELS", text)
    with pytest.raises(ValidationError, match="capture_node_labels"):
        OperatorSettings()


@pytest.mark.parametrize("volume", ["BUFFER", "ARCHIVE"])
def test_a_job_goes_where_the_agent_is_if_one_of_the_two_volumes_serves_one_node(
    monkeypatch: pytest.MonkeyPatch, volume: str
) -> None:
    assert not job_settings(OperatorSettings()).beside_agent
    monkeypatch.setenv(f"REPLAY_{volume}_ACCESS_MODE", "ReadWriteOnce")
    assert job_settings(OperatorSettings()).beside_agent, "the agent holds them both"


@pytest.mark.parametrize("variable", ["BUFFER_CLAIM_SIZE", "BUFFER_CLAIM_MAX", "ARCHIVE_CLAIM_SIZE"])
def test_a_size_that_is_no_quantity_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(f"REPLAY_{variable}", "20GB")
    with pytest.raises(ValidationError, match="no quantity of storage"):
        OperatorSettings()


def test_a_maximum_below_the_size_does_not_make_a_claim_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAY_BUFFER_CLAIM_SIZE", "500Gi")
    plan = capacity_settings(OperatorSettings()).buffer_claim.plan
    assert plan.max_bytes == plan.min_bytes == 500 * GIB


def test_a_write_budget_is_in_millions_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert capacity_settings(OperatorSettings()).limits.write_bytes_per_second is None
    monkeypatch.setenv("REPLAY_WRITE_BUDGET_MBPS", "75")
    assert capacity_settings(OperatorSettings()).limits.write_bytes_per_second == 75_000_000

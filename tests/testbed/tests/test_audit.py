import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.testbed.audit import audit_log_size, audit_records


def event(**changes: Any) -> str:
    fields = {
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/lab/configmaps",
        "verb": "create",
        "user": {"username": "alice"},
        "userAgent": "kubectl/v1",
        "objectRef": {"resource": "configmaps", "namespace": "lab", "name": "notes", "apiVersion": "v1"},
        "responseStatus": {"code": 201},
        "stageTimestamp": "2026-01-02T03:04:05.678901Z",
    }
    return json.dumps(fields | changes) + "\n"


def test_an_event_becomes_a_record(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(event())
    (record,) = audit_records(log)
    assert (record.verb, record.user, record.user_agent, record.code) == (
        "create",
        "alice",
        "kubectl/v1",
        201,
    )
    assert (record.resource, record.subresource, record.namespace, record.name) == (
        "configmaps",
        "",
        "lab",
        "notes",
    )
    assert record.stage_timestamp == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert record.is_write


def test_reads_are_no_writes(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text("".join(event(verb=verb) for verb in ("get", "list", "watch")))
    assert [record.is_write for record in audit_records(log)] == [False, False, False]


def test_only_completed_requests_are_records(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(event(stage="ResponseStarted", verb="watch") + event(verb="list"))
    assert [record.verb for record in audit_records(log)] == ["list"]
    assert [record.verb for record in audit_records(log, begun=True)] == ["watch", "list"]


def test_a_request_for_no_resource_has_empty_names(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(event(verb="get", requestURI="/readyz", objectRef={}))
    (record,) = audit_records(log)
    assert (record.resource, record.name, record.request_uri) == ("", "", "/readyz")


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    log.write_text(event(verb="get") + event(verb="patch")[:40])
    assert [record.verb for record in audit_records(log)] == ["get"]


def test_an_offset_leaves_out_what_was_there_before(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    assert audit_log_size(log) == 0
    assert list(audit_records(log)) == []
    log.write_text(event(verb="get"))
    offset = audit_log_size(log)
    with log.open("a") as more:
        more.write(event(verb="patch"))
    assert [record.verb for record in audit_records(log, offset=offset)] == ["patch"]

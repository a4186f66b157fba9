"""What the scale bench counts and shows, and that the hot paths stay cheap."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.scale.figures import BringUp, Figures, Idle, Restart, cpu_table, table
from benchmarks.scale.metrics_page import metric
from benchmarks.scale.processes import parse_cpu_seconds, parse_memory, parse_read_bytes
from benchmarks.scale.recordings import CoverageRecordings, LightRun, VolumeRecordings
from benchmarks.scale.writes import count_use
from replay_operator.api.agent import Coverage
from replay_operator.controller import egresses
from replay_operator.controller.coverage import LONGEST_PAUSE, pause_after
from replay_operator.controller.egresses import EgressBook
from replay_operator.domain.layout import RunPath, parse_filename_prefix
from replay_operator.livekit.poller import Snapshot
from replay_operator.media.playlists import parse_playlist
from tests.builders import NAMESPACE, NOW, at, egress
from tests.testbed.audit import AuditRecord

OPERATOR = "system:serviceaccount:scale:replay-operator"


def request(
    verb: str = "patch", resource: str = "replaybuffers", subresource: str = "status", **other: object
) -> AuditRecord:
    given: dict[str, object] = {
        "user": OPERATOR,
        "pod": "",
        "user_agent": "",
        "namespace": "scale",
        "name": "a",
        "code": 200,
        "stage_timestamp": NOW,
        "request_uri": "",
    }
    return AuditRecord(verb=verb, resource=resource, subresource=subresource, **(given | other))  # type: ignore[arg-type] # the fields above


def test_only_the_requests_of_one_user_are_counted() -> None:
    use = count_use([request(), request(user="admin")], OPERATOR)
    assert use.status_writes == 1


def test_status_writes_events_and_the_lease_are_told_apart() -> None:
    records = [
        request(),
        request("create", "events", ""),
        request("update", "leases", ""),
        request("create", "persistentvolumeclaims", ""),
        request("list", "replaybuffers", ""),
    ]
    use = count_use(records, OPERATOR)
    assert (use.status_writes, use.events, use.lease_writes, use.other_writes, use.reads) == (1, 1, 1, 1, 1)


def test_a_write_that_was_refused_is_counted_and_named() -> None:
    use = count_use([request(code=409)], OPERATOR)
    assert (use.status_writes, dict(use.refused)) == (1, {409: 1})


def test_the_last_status_write_ends_the_bring_up() -> None:
    records = [request(stage_timestamp=at(5)), request(stage_timestamp=at(3))]
    later_event = request("create", "events", "", stage_timestamp=at(9))
    assert count_use([*records, later_event], OPERATOR).last_status_write == at(5)


def test_a_process_name_with_brackets_and_spaces_does_not_shift_the_fields() -> None:
    stat = "42 (a) b (c) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0"
    assert parse_cpu_seconds(stat, ticks_per_second=100) == 3.0


def test_memory_is_given_in_mib_now_and_at_its_highest() -> None:
    found = parse_memory("Name:\tpython\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\nThreads:\t3\n")
    assert (found.now_mib, found.peak_mib) == (100, 200)


def test_reads_are_those_that_were_asked_for_not_those_of_the_disk() -> None:
    assert parse_read_bytes("rchar: 7900\nwchar: 12\nread_bytes: 4096\nwrite_bytes: 0\n") == 7900


def test_a_metric_is_added_up_over_the_labels_that_were_not_asked_for() -> None:
    page = '# HELP a_total x\na_total{kind="B",result="ok"} 2\na_total{kind="C",result="ok"} 3\nab_total 9\n'
    assert metric(page, "a_total", result="ok") == 5
    assert metric(page, "a_total", kind="B") == 2
    assert metric(page, "missing") == 0


def figures(**idle: object) -> Figures:
    quiet: dict[str, object] = {
        "seconds": 60,
        "writes": {"leases": 30},
        "reads": 1,
        "livekit_calls": {"ListEgress": 12},
        "cpu_percent": {"operator": 4.0},
        "reconciles": 300,
    }
    return Figures(
        buffers=100,
        agent="fake",
        bring_up=BringUp(1, 30, 200, 150, 3, {}, {}, {"operator": 50.0}, 90, 100),
        idle=Idle(**(quiet | idle)),  # type: ignore[arg-type] # the fields above
        restart=Restart(1, 2, 3, {"leases": 4}, 80, 90),
        crashes=0,
    )


def test_renewals_of_the_lease_are_no_writes_of_an_idle_operator() -> None:
    assert figures().idle_writes == 0
    assert figures(writes={"leases": 30, "replaybuffers/status": 2}).idle_writes == 2
    assert figures().restart_writes == 0


def test_one_list_for_each_poll_is_one_call_per_poll() -> None:
    assert figures().calls_per_poll == 1
    assert figures(livekit_calls={"ListEgress": 12, "ListParticipants": 6}).calls_per_poll == 1.5


def test_a_value_over_its_limit_is_marked() -> None:
    shown = table([figures(), figures(cpu_percent={"operator": 10.1})])
    row = next(line for line in shown.splitlines() if "idle: operator CPU" in line)
    assert row == "| idle: operator CPU, % of a core | 4.0 | 10.1 ! | 10 |"


def test_the_cpu_table_names_every_process_of_any_run() -> None:
    shown = cpu_table([figures(), figures(cpu_percent={"operator": 1.0, "agent": 2.0})])
    assert "| agent | 0.0 | 2.0 |" in shown


def test_the_stand_in_agent_tells_what_the_protocol_asks_for() -> None:
    recordings = CoverageRecordings()
    run = LightRun(RunPath(NAMESPACE, "uid", "run"), 10, int(NOW.timestamp()) * 10**9)
    recordings.publish(run)
    recordings.publish(run)
    told = Coverage.model_validate_json(recordings.coverage_json(epoch=3, seq=4, since=None))
    (buffer,) = told.buffers
    assert (told.complete, told.epoch, told.seq, buffer.path) == (True, 3, 4, f"{NAMESPACE}/uid")
    assert (buffer.runs[0].last_index, buffer.runs[0].newest) == (1, NOW + timedelta(seconds=20))
    assert not buffer.runs[0].ended
    recordings.end(run)
    told = Coverage.model_validate_json(recordings.coverage_json(epoch=3, seq=4, since=None))
    assert told.buffers[0].runs[0].ended


def test_a_light_run_lies_on_the_volume_as_the_agent_reads_it(tmp_path: Path) -> None:
    segments = [tmp_path / "a.ts", tmp_path / "b.ts"]
    for segment in segments:
        segment.write_bytes(b"media")
    run = LightRun(RunPath(NAMESPACE, "uid", "run"), 10, 0)
    directory = tmp_path / run.path.relative
    directory.mkdir(parents=True)
    recordings = VolumeRecordings(tmp_path, segments)
    for _ in segments:
        recordings.publish(run)
    assert [p.name for p in sorted(directory.glob("*.ts"))] == ["seg_00000.ts", "seg_00001.ts"]
    for name in ("index.m3u8", "live.m3u8"):
        playlist = parse_playlist((directory / name).read_text())
        assert (playlist.highest_index, playlist.ended) == (1, False)
    recordings.end(run)
    assert parse_playlist((directory / "index.m3u8").read_text()).ended
    with pytest.raises(IndexError, match="raise --segments"):
        recordings.publish(run)


def test_a_prefix_is_taken_apart_once_however_often_its_buffer_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[str] = []

    def counted(prefix: str, root: str) -> RunPath | None:
        parsed.append(prefix)
        return parse_filename_prefix(prefix, root)

    monkeypatch.setattr(egresses, "parse_filename_prefix", counted)
    many = [egress(f"EG_{number}", run=f"r{number}") for number in range(50)]
    generations = itertools.count(1)

    def listed() -> Snapshot:
        return Snapshot({e.id: e for e in many}, NOW, NOW, generation=next(generations), complete=True)

    book = EgressBook(namespace=NAMESPACE, root="/buffer", snapshot=listed)
    for number, each in enumerate(many):
        book.note_started(each, datetime.now(UTC))
        book.view(f"uid-{number}")
    assert len(parsed) == 50


@pytest.mark.parametrize(
    ("took_seconds", "pause_seconds"),
    [(0.01, 1), (0.2, 3.8), (60, LONGEST_PAUSE.total_seconds())],
    ids=["a quick answer", "a slow one gets rest", "never so long that the word grows old"],
)
def test_the_agent_is_asked_less_often_the_longer_it_takes(took_seconds: float, pause_seconds: float) -> None:
    pause = pause_after(timedelta(seconds=took_seconds), timedelta(seconds=1))
    assert pause.total_seconds() == pytest.approx(pause_seconds)

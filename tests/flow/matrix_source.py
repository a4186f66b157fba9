"""Rows of the status matrix that the source brings about: tracks come, go and fall silent."""

from __future__ import annotations

from tests.flow.matrix_stage import Stage, Subject, first_second, holes, message_of


def source_is_there(stage: Stage) -> None:
    subject = stage.recording("there")
    assert subject.reasons()[-2:] == ["Starting", "Recording"]
    assert subject.running() == [subject.egress_id]
    subject.wait_for_coverage_of(first_second(subject.status))


def source_comes_later(stage: Stage) -> None:
    subject = stage.buffer("later")
    waiting = subject.wait_for("WaitingForSource")
    ready = next(c for c in waiting["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "True", "a GitOps sync must not wait for a person"
    assert subject.records() == []
    stage.open_room("later")
    subject.wait_for("Recording")
    assert subject.reasons() == ["WaitingForSource", "Starting", "Recording"]


def video_is_muted_at_the_start(stage: Stage) -> None:
    stage.open_room("muted-start")
    subject = Subject(stage, "muted-start")
    _mute(subject, "SCREEN_SHARE", muted=True)
    stage.buffer("muted-start")
    subject.wait_for("Recording")
    _stays_one_run(subject)


def video_is_muted_for_a_while(stage: Stage) -> None:
    _records_through_a_mute(stage.recording("mute-video"), "SCREEN_SHARE")


def sound_is_muted_for_a_while(stage: Stage) -> None:
    _records_through_a_mute(stage.recording("mute-sound"), "MICROPHONE")


def video_is_unpublished(stage: Stage) -> None:
    subject = stage.recording("unpublished")
    before, mark = subject.status, subject.count()
    stage.admin.delete(f"rooms/unpublished/tracks/{subject.track('SCREEN_SHARE')}")
    after = subject.wait_for_another_run(before["egress"]["id"])
    assert subject.reasons(mark) == ["Recording", "RunSilent", "Recording"]
    assert "video" not in after["tracks"]
    assert subject.running() == [subject.egress_id], "the old egress would stay ACTIVE for ever"
    runs = subject.wait_for_coverage_of(first_second(after))
    assert any(run.oldest <= first_second(before) <= run.newest for run in runs)


def video_is_published_again(stage: Stage) -> None:
    subject = stage.recording("republished")
    first = subject.egress_id
    stage.admin.delete(f"rooms/republished/tracks/{subject.track('SCREEN_SHARE')}")
    without = subject.wait_for_another_run(first)
    stage.admin.post("rooms/republished/participants/alice/tracks", {"source": "SCREEN_SHARE"})
    again = subject.wait_for_another_run(without["egress"]["id"])
    assert again["tracks"]["video"] == subject.track("SCREEN_SHARE")
    stage.wait_for("republished: one egress", lambda: subject.running() == [subject.egress_id])


def publisher_leaves_and_returns(stage: Stage) -> None:
    subject = stage.recording("leaves")
    before, mark = subject.status, subject.count()
    stage.admin.delete("rooms/leaves/participants/alice")
    gone = subject.wait_for("SourceGone")
    assert "end" in gone["window"], "the window has its exact end once the source has gone"
    assert subject.record(before["egress"]["id"])["details"] == "End reason: Source closed"
    stage.open_room("leaves")
    after = subject.wait_for_another_run(before["egress"]["id"])
    told = subject.reasons(mark)
    assert told[-3:] == ["SourceGone", "Starting", "Recording"]
    runs = subject.wait_for_coverage_of(first_second(after))
    assert any(run.oldest <= first_second(before) <= run.newest for run in runs), "the window stays"
    assert len(holes(runs)) == 1


def publisher_is_killed(stage: Stage) -> None:
    subject = stage.recording("killed-publisher")
    before, mark = subject.egress_id, subject.count()
    stage.admin.delete("rooms/killed-publisher/participants/alice?abrupt")
    assert subject.running() == [before], "the server does not know yet"
    subject.wait_for("SourceGone")
    assert subject.record(before)["details"] == "End reason: Source closed"
    told = subject.reasons(mark)
    assert (told[0], told[-1]) == ("Recording", "SourceGone")


def fixed_track_is_unknown(stage: Stage) -> None:
    stage.open_room("unknown-track")
    subject = stage.buffer("unknown-track", {"tracks": {"video": "TR_VCunknown"}})
    refused = subject.wait_for("TrackNotFound")
    assert subject.records() == [], "an egress would take a worker's place for 32 s and fail"
    stalled = next(c for c in refused["conditions"] if c["type"] == "Stalled")
    assert stalled["status"] == "True"
    assert "spec.source.participant" in message_of(refused), "nobody is told what to do"


def fixed_track_is_unpublished(stage: Stage) -> None:
    stage.open_room("fixed-track")
    track = Subject(stage, "fixed-track").track("SCREEN_SHARE")
    subject = stage.buffer("fixed-track", {"tracks": {"video": track}})
    subject.wait_for("Recording")
    mark = subject.count()
    stage.admin.delete(f"rooms/fixed-track/tracks/{track}")
    ended = subject.wait_for("Ended")
    told = subject.reasons(mark)
    assert (told[0], told[-2:]) == ("Recording", ["SourceGone", "Ended"])
    assert "end" in ended["window"], "the window has its exact end"
    stage.wait_for("fixed-track: no egress", lambda: subject.running() == [])


def _mute(subject: Subject, source: str, *, muted: bool) -> None:
    subject.stage.admin.post(f"rooms/{subject.name}/tracks/{subject.track(source)}/mute", {"muted": muted})


def _records_through_a_mute(subject: Subject, source: str) -> None:
    _mute(subject, source, muted=True)
    _two_more_segments(subject)
    _mute(subject, source, muted=False)
    _two_more_segments(subject)
    _stays_one_run(subject)


def _two_more_segments(subject: Subject) -> None:
    last = subject.runs()[-1].last_index
    subject.stage.wait_for(
        f"{subject.name}: two more segments", lambda: subject.runs()[-1].last_index >= last + 2
    )


def _stays_one_run(subject: Subject) -> None:
    assert subject.reasons()[-2:] == ["Starting", "Recording"]
    assert len(subject.runs()) == 1
    assert [e["egress_id"] for e in subject.records()] == [subject.egress_id]

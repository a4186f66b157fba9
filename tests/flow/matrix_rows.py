"""The status matrix: what can happen to a recording, and what becomes of its buffer.

`docs/status-matrix.md` shows the words; `test_status_matrix.py` plays every row on the whole system.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.flow import matrix_source as source
from tests.flow import matrix_worker as worker
from tests.flow.matrix_stage import Stage


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        event: what happens.
        livekit: what LiveKit says of it.
        operator: what the operator does.
        status: what the status of the buffer says, as reasons of its condition Recording.
        lost: which time no clip can hold.
        play: makes it happen on a stage and checks status and coverage.
    """

    event: str
    livekit: str
    operator: str
    status: str
    lost: str
    play: Callable[[Stage], None]

    @property
    def name(self) -> str:
        """The name of the function that plays it, in words."""
        return self.play.__name__.replace("_", " ")

    def cells(self) -> list[str]:
        """What the document shows of it."""
        return [self.event, self.livekit, self.operator, self.status, self.lost]


_SILENT = "Recording → RunSilent → Recording"
_FAILED = "Recording → EgressFailed → Recording"
_UNPUBLISHED = "what was not on disk yet, at most 2 x `segmentSeconds` + 0.7 s"

SOURCE_ROWS = (
    Row(
        "the source is there",
        "STARTING, ACTIVE 0.9 s later",
        "starts one run",
        "Starting → Recording",
        "nothing from the first frame on",
        source.source_is_there,
    ),
    Row(
        "the room does not exist, or nobody publishes yet",
        "a start would be 404 `not_found`",
        "starts nothing, looks every 5 s",
        "WaitingForSource → Starting → Recording",
        "up to 5 s after the first publish",
        source.source_comes_later,
    ),
    Row(
        "start on a muted video",
        "ACTIVE, 5.7 s later than usual",
        "waits: the first segment may be 12 s later than usual",
        "Starting → Recording",
        "nothing; the picture is black and begins 3.2 s after the sound",
        source.video_is_muted_at_the_start,
    ),
    Row(
        "the video is muted and unmuted",
        "ACTIVE; segments go on with black pictures",
        "nothing",
        "Recording",
        "2.06 s of pictures at the unmute, kept as a gap",
        source.video_is_muted_for_a_while,
    ),
    Row(
        "the sound is muted and unmuted",
        "ACTIVE; packets go on with silence",
        "nothing",
        "Recording",
        "nothing",
        source.sound_is_muted_for_a_while,
    ),
    Row(
        "the video is unpublished, the sound stays",
        "ACTIVE for ever, and no segment comes again",
        "sees it by the files, stops the run, records the sound alone",
        _SILENT,
        "nothing of the video; sound piles up in the worker and comes with the stop",
        source.video_is_unpublished,
    ),
    Row(
        "the video is published again",
        "ignored by the old egress: the track has a new id",
        "starts a run with both tracks, then stops the old one",
        "Recording, with the new track id",
        "the video up to the start of the new run",
        source.video_is_published_again,
    ),
    Row(
        "the publisher leaves and comes back",
        "ENDING, COMPLETE `End reason: Source closed` after 3 s",
        "keeps the window for `keepAfterEndSeconds`, starts again on return",
        "Recording → SourceGone → Starting → Recording",
        "nothing; up to 5 s after the return",
        source.publisher_leaves_and_returns,
    ),
    Row(
        "the publisher's process is killed",
        "ACTIVE with black pictures for 20.5 s, then as if they had left",
        "as for a publisher who left",
        "Recording → SourceGone",
        "nothing; the last 20.5 s are black",
        source.publisher_is_killed,
    ),
    Row(
        "a fixed track id that nobody publishes",
        "a start would be accepted, and FAILED `track ... not found` after 32 s",
        "looks the room up first, for 10 s, and starts nothing",
        "WaitingForSource → TrackNotFound",
        "everything",
        source.fixed_track_is_unknown,
    ),
    Row(
        "a fixed track is unpublished",
        "ACTIVE for ever, and no segment comes again",
        "stops the run, looks the room up for 10 s, ends for good",
        "Recording → SourceGone → Ended",
        "nothing",
        source.fixed_track_is_unpublished,
    ),
)

EGRESS_ROWS = (
    Row(
        "a handler process is killed",
        "FAILED `signal: killed`, code 500, at once",
        "records again",
        _FAILED,
        _UNPUBLISHED + ", and the second or two of the new start",
        worker.handler_is_killed,
    ),
    Row(
        "the worker runs short of CPU and ends a recording",
        "COMPLETE `End reason: CPU exhausted`",
        "records again",
        "Recording → CPUExhausted → Recording",
        "the second or two of the new start",
        worker.cpu_is_exhausted,
    ),
    Row(
        "a handler cannot be launched",
        "500 `internal`, and a FAILED record",
        "finds the record by its prefix, starts again after a second, then after longer and longer",
        "EgressFailed → Recording",
        "the wait",
        worker.handler_cannot_be_launched,
    ),
    Row(
        "the clock of a run jumps or drifts",
        "ACTIVE; nothing tells of it",
        "sees it by when segments come, starts a run with a right clock, then stops the old one",
        "Recording, by another egress",
        "nothing",
        worker.clock_of_a_run_jumps,
    ),
)

FLEET_ROWS = (
    Row(
        "no worker runs",
        "503 `unavailable` after 22 s, no record",
        "asks again with back-off; the fleet grows",
        "WaitingForCapacity → Starting → Recording",
        "the wait",
        worker.no_worker_runs,
    ),
    Row(
        "all workers are full",
        "the same 503",
        "the same",
        "WaitingForCapacity → Starting → Recording",
        "the wait",
        worker.all_workers_are_full,
    ),
    Row(
        "a worker is killed with SIGKILL",
        "ACTIVE for ever; StopEgress 408; `participant_left` of the egress after 24 s",
        "sees it by the container's end or by the files, records again",
        "Recording → WorkerLost or RunSilent → Recording",
        _UNPUBLISHED + ", at most 2 x `segmentSeconds` + 3 s to notice, and the new start",
        worker.worker_is_killed,
    ),
    Row(
        "a worker gets SIGINT",
        "ENDING, FAILED 403 `server is shutting down`",
        "records again",
        "Recording → EgressFailed or WorkerLost → Recording",
        "the second or two of the new start",
        worker.worker_is_interrupted,
    ),
    Row(
        "a handler fails by itself with code 500",
        "FAILED, code 500; its worker drains and exits",
        "records again",
        _FAILED,
        _UNPUBLISHED + ", and the new start",
        worker.handler_fails_and_its_worker_leaves,
    ),
    Row(
        "a worker's pod is deleted (SIGTERM)",
        "ACTIVE; the worker drains without end",
        "starts a run elsewhere, waits for its first segment, then stops the old one",
        "Recording all the time",
        "nothing: the runs overlap",
        worker.worker_pod_is_deleted,
    ),
    Row(
        "a starved worker repeats pictures",
        "ACTIVE, segments in perfect cadence; the worker's health port says that no CPU is left",
        "moves one recording after the other to another worker",
        "Recording, by another egress",
        "most pictures and most of the sound for about half a minute",
        worker.worker_is_starved,
    ),
    Row(
        "LiveKit's server restarts",
        "nothing for 6 s; then COMPLETE `End reason: Source closed` after 9 s; tracks have new ids",
        "goes on saying what the files say, then records the new tracks",
        "Recording → Starting → Recording",
        "nothing; black from the server's end on, up to the new start",
        worker.server_restarts,
    ),
)

ROWS = (*SOURCE_ROWS, *EGRESS_ROWS, *FLEET_ROWS)
HEADER = ("what happens", "LiveKit says", "the operator does", "the status says", "what is lost")


def as_table() -> str:
    """The table of the document."""
    lines = [HEADER, ("---",) * len(HEADER), *(row.cells() for row in ROWS)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

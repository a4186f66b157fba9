"""The life of one egress on its worker: what is reported when."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livekit.protocol import egress

from tests.livekit_double.segment_paths import resolve_segment_paths, segment_output
from tests.livekit_double.timing import Timing
from tests.livekit_double.worker.encoding_plan import encoding_plan
from tests.livekit_double.worker.playlists import manifest
from tests.livekit_double.worker.publication import Publication
from tests.livekit_double.worker.recording import Recording, TrackState
from tests.livekit_double.worker.source import SourceMaker

Report = Callable[[egress.EgressInfo], Awaitable[None]]

_STOPPED = "End reason: StopEgress API"
_SOURCE_CLOSED = "End reason: Source closed"
_PROCESS_KILLED = "End reason: Process killed"
_FAILURE = "End reason: Failure"
_INTERNAL_ERROR = 500


class EgressRun:
    """One egress. `run` returns when it has ended; the other methods make it end."""

    def __init__(
        self,
        info: egress.EgressInfo,
        *,
        publisher: str,
        tracks: Mapping[str, bool],
        temporary_directory: Path,
        timing: Timing,
        make_source: SourceMaker,
        report: Report,
        clock_offset_seconds: float = 0.0,
        on_internal_error: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes an egress over.

        Args:
            info: the record as the server registered it.
            publisher: identity of the publisher, for names.
            tracks: published tracks of the room, and whether packets flow.
            temporary_directory: scratch space.
            timing: delays.
            make_source: gives what media are taken from.
            report: sends a changed record to the server.
            clock_offset_seconds: error of the `started_at` that is reported for the segments.
            on_internal_error: called when the handler has reported its failure with code 500.
        """
        self.info = egress.EgressInfo()
        self.info.CopyFrom(info)
        self._registered = info
        self._request = info.track_composite
        self._timing = timing
        self._report = report
        self._clock_offset_ns = round(clock_offset_seconds * 1e9)
        self._on_internal_error = on_internal_error
        self.starved = False
        self._failure_code = 0
        output = segment_output(self._request) or egress.SegmentedFileOutput()
        self._plan = encoding_plan(self._request, output.segment_duration)
        self._source = make_source(self._plan)
        self._tracks: dict[str, bool] = {} if self._source.knows_tracks else dict(tracks)
        self._tracks_changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._end_reason: asyncio.Future[str] = self._loop.create_future()
        self._recording: Recording | None = None
        self._paths = resolve_segment_paths(
            output,
            room_id=info.room_id,
            room_name=info.room_name,
            publisher_identity=publisher,
            now=datetime.now(UTC),
        )
        self._publication = Publication(
            self._paths,
            self._plan,
            timing,
            egress_id=info.egress_id,
            temporary_directory=temporary_directory,
            has_manifest=not output.disable_manifest,
        )

    async def stop(self) -> None:
        """StopEgress; one that is ending already says so again."""
        if self.info.status == egress.EgressStatus.EGRESS_ENDING:
            await self._report(self.info)
        self._end(_STOPPED)

    def interrupt(self) -> None:
        """The worker got SIGINT."""
        self._end(_PROCESS_KILLED)

    def end(self, details: str) -> None:
        """Ends as COMPLETE for another reason, such as `End reason: CPU exhausted`."""
        self._end(details)

    def fail(self, error: str, error_code: int) -> None:
        """The handler fails by itself: FAILED, and what has not been published is lost."""
        self._failure_code = error_code
        self._end(error)

    def starve(self, *, starved: bool) -> None:
        """The worker lacks CPU, or has it again."""
        self.starved = starved
        if self._recording is not None:
            self._recording.starve(starved=starved)

    def disturb_clock(self, *, jump_seconds: float, pace: float) -> None:
        """The run's clock goes wrong; see `FrameClock.disturb`."""
        if self._recording is not None:
            self._recording.disturb_clock(jump_seconds=jump_seconds, pace=pace)

    def disconnected(self) -> None:
        """The server is away: no packets come, the tracks may still be there afterwards."""
        self.tracks_changed(dict.fromkeys(self._tracks, False))

    def tracks_changed(self, tracks: Mapping[str, bool]) -> None:
        """The server tells the room's published tracks."""
        if not self._source.knows_tracks:
            self._take_tracks(tracks)

    def _take_tracks(self, tracks: Mapping[str, bool]) -> None:
        self._tracks = dict(tracks)
        self._tracks_changed.set()
        if self._recording is not None:
            self._recording.set_tracks(*self._track_states())

    async def abandon(self) -> None:
        """Stops the media without a word, as the death of the worker does."""
        if self._recording is not None:
            await asyncio.to_thread(self._recording.kill)

    async def killed(self) -> None:
        """The handler process was killed: its service reports what it knew from the start."""
        await self.abandon()
        self.info.CopyFrom(self._registered)
        await self._over(egress.EgressStatus.EGRESS_FAILED, error="signal: killed", error_code=500)

    async def run(self) -> None:
        """Records until something ends it."""
        await asyncio.sleep(self._timing.handler_start_seconds)
        self.info.started_at = time.time_ns()
        try:
            await self._source.open(self._take_tracks)
            await self._record_what_is_asked()
        except ConnectionError as error:
            self.info.details = _FAILURE
            await self._over(egress.EgressStatus.EGRESS_FAILED, error=str(error), error_code=_INTERNAL_ERROR)
        finally:
            await self._source.close()

    async def _record_what_is_asked(self) -> None:
        missing = await self._wait_for_tracks()
        if missing and not self._end_reason.done():
            self.info.details = _FAILURE
            await self._over(
                egress.EgressStatus.EGRESS_FAILED, error=f"track {missing} not found", error_code=404
            )
            return
        if await self._ended_within(self._timing.first_frame_seconds):
            await self._abort()
            return
        await self._record()

    async def _record(self) -> None:
        video, audio = self._track_states()
        recording = await asyncio.to_thread(
            Recording,
            self._plan,
            self._publication,
            self._source,
            video=video,
            audio=audio,
            timing=self._timing,
            on_failure=self._media_failed,
        )
        started_at_ns = await self._source.first_media_at_ns()
        self._recording = recording
        recording.start(started_at_ns)
        recording.set_tracks(*self._track_states())
        muted = video is TrackState.SILENT
        await self._ended_within(
            self._timing.active_after_muted_start_seconds
            if muted
            else self._timing.active_after_first_frame_seconds
        )
        self._set_segments(started_at=started_at_ns + self._clock_offset_ns)
        await self._report_status(egress.EgressStatus.EGRESS_ACTIVE)
        reason = await self._wait_for_end()
        await self._finish(recording, reason)

    async def _wait_for_tracks(self) -> str:
        """Returns the id of a track that does not turn up in time; empty if all are there."""
        deadline = time.monotonic() + self._timing.unknown_track_seconds
        wanted = [sid for sid in (self._request.audio_track_id, self._request.video_track_id) if sid]
        while missing := next((sid for sid in wanted if sid not in self._tracks), ""):
            await self._tracks_changed_or_ended(deadline - time.monotonic())
            if self._end_reason.done() or time.monotonic() >= deadline:
                return missing
        return ""

    async def _wait_for_end(self) -> str:
        """Returns why the egress ends; watches for the end of its last track."""
        while not self._end_reason.done():
            if (
                TrackState.FLOWING not in self._track_states()
                and TrackState.SILENT not in self._track_states()
            ):
                await self._ended_within(self._timing.source_closed_ending_seconds)
                self._end(_SOURCE_CLOSED)
                break
            await self._tracks_changed_or_ended(None)
        return self._end_reason.result()

    async def _tracks_changed_or_ended(self, timeout_seconds: float | None) -> None:
        self._tracks_changed.clear()
        changed = asyncio.ensure_future(self._tracks_changed.wait())
        either: set[asyncio.Future[Any]] = {changed, self._end_reason}
        await asyncio.wait(either, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()

    async def _finish(self, recording: Recording, reason: str) -> None:
        if not reason.startswith("End reason"):
            await self.abandon()
            self.info.details = _FAILURE
            await self._over(egress.EgressStatus.EGRESS_FAILED, error=reason, error_code=self._failure_code)
            if self._failure_code == _INTERNAL_ERROR:
                self._on_internal_error()
            return
        began = time.monotonic()
        self.info.details = reason
        self._count_segments()
        await self._report_status(egress.EgressStatus.EGRESS_ENDING)
        duration_ns = await asyncio.to_thread(recording.finish)
        self._count_segments()
        self._set_segments(
            duration=duration_ns, ended_at=recording.started_at_ns + self._clock_offset_ns + duration_ns
        )
        needed = self._timing.complete_after_ending_seconds
        if reason == _SOURCE_CLOSED:
            needed = self._timing.source_closed_complete_seconds - self._timing.source_closed_ending_seconds
        if reason == _PROCESS_KILLED:
            await asyncio.sleep(max(0.0, began + needed - time.monotonic()))
            await self._over(
                egress.EgressStatus.EGRESS_FAILED, error="server is shutting down", error_code=403
            )
            return
        await asyncio.to_thread(self._write_manifest)
        await asyncio.sleep(max(0.0, began + needed - time.monotonic()))
        self.info.manifest_location = self._publication.manifest_path
        await self._over(egress.EgressStatus.EGRESS_COMPLETE)

    async def _abort(self) -> None:
        self.info.details = self._end_reason.result()
        await self._over(
            egress.EgressStatus.EGRESS_ABORTED,
            error="Stop called before pipeline could start",
            error_code=412,
        )

    async def _ended_within(self, seconds: float) -> bool:
        await asyncio.wait({self._end_reason}, timeout=seconds)
        return self._end_reason.done()

    def _media_failed(self, error: OSError) -> None:
        self._loop.call_soon_threadsafe(self._end, _upload_failure(error))

    def _end(self, reason: str) -> None:
        if not self._end_reason.done():
            self._end_reason.set_result(reason)

    def _track_states(self) -> tuple[TrackState, TrackState]:
        def state(sid: str) -> TrackState:
            if not sid:
                return TrackState.ABSENT
            if sid not in self._tracks:
                return TrackState.GONE
            return TrackState.FLOWING if self._tracks[sid] else TrackState.SILENT

        return state(self._request.video_track_id), state(self._request.audio_track_id)

    def _count_segments(self) -> None:
        if self._publication.segments:
            self._set_segments(
                size=self._publication.bytes_published,
                segment_count=len(self._publication.segments),
                playlist_location=self._paths.playlist,
                live_playlist_location=self._paths.live_playlist,
            )

    def _set_segments(self, **values: int | str) -> None:
        for target in (self.info.segments, self.info.segment_results[0]):
            for name, value in values.items():
                setattr(target, name, value)

    def _write_manifest(self) -> None:
        self._publication.write_manifest(
            manifest(
                egress_id=self.info.egress_id,
                room_id=self.info.room_id,
                room_name=self.info.room_name,
                started_at_ns=self.info.started_at,
                ended_at_ns=time.time_ns(),
                audio_track_id=self._request.audio_track_id,
                video_track_id=self._request.video_track_id,
                playlist=self._paths.playlist,
                segments=self._publication.segments,
            )
        )

    async def _over(self, status: egress.EgressStatus, *, error: str = "", error_code: int = 0) -> None:
        self.info.error = error
        self.info.error_code = error_code
        self.info.ended_at = time.time_ns()
        await self._report_status(status)

    async def _report_status(self, status: egress.EgressStatus) -> None:
        self.info.status = status
        # Recorded: an end has the same instant in both fields.
        self.info.updated_at = self.info.ended_at or time.time_ns()
        await self._report(self.info)


def _upload_failure(error: OSError) -> str:
    return f"Local upload failed: {error.filename}: {(error.strerror or str(error)).lower()}"

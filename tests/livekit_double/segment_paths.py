"""Where a segmented output lands: how egress reads prefix and playlist names."""

import posixpath
from dataclasses import dataclass
from datetime import UTC, datetime

from livekit.protocol import egress


@dataclass(frozen=True, slots=True)
class SegmentPaths:
    """Resolved names of one run. Every path is absolute."""

    segment_prefix: str
    playlist: str
    live_playlist: str
    timestamp_suffix: bool

    @property
    def playlist_directory(self) -> str:
        """The directory of both playlists and of the manifest."""
        return posixpath.dirname(self.playlist)

    def segment(self, index: int, started_at: datetime) -> str:
        """The path of one segment.

        Args:
            index: position in the run, from 0.
            started_at: wall clock of the segment's first frame; used by the TIMESTAMP suffix only.
        """
        if self.timestamp_suffix:
            milliseconds = started_at.microsecond // 1000
            return f"{self.segment_prefix}_{started_at:%Y%m%d%H%M%S}{milliseconds:03d}.ts"
        return f"{self.segment_prefix}_{index:05d}.ts"


def resolve_segment_paths(
    output: egress.SegmentedFileOutput,
    *,
    room_id: str,
    room_name: str,
    publisher_identity: str,
    now: datetime,
) -> SegmentPaths:
    """Resolves the names of one segmented output.

    Args:
        output: the output as requested.
        room_id: replaces `{room_id}`.
        room_name: replaces `{room_name}`.
        publisher_identity: replaces `{publisher_identity}`.
        now: replaces `{time}` and `{utc}`, once for the whole run.
    """
    milliseconds = now.microsecond // 1000
    time_text = f"{now:%Y-%m-%dT%H%M%S}"
    values = {
        "{room_id}": room_id,
        "{room_name}": room_name,
        "{publisher_identity}": publisher_identity,
        "{time}": time_text,
        "{utc}": f"{now.astimezone(UTC):%Y%m%d%H%M%S}{milliseconds:03d}",
    }

    def filled(text: str) -> str:
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text

    prefix_directory, prefix_name = posixpath.split(filled(output.filename_prefix))
    playlist_directory, playlist_name = posixpath.split(filled(output.playlist_name))
    if not playlist_name:
        playlist_name = prefix_name or f"{room_name}-{time_text}"
    playlist_name = _with_playlist_suffix(playlist_name)
    if not prefix_name:
        prefix_name = playlist_name.removesuffix(".m3u8")
    if not playlist_directory:
        playlist_directory = prefix_directory
    elif prefix_directory and prefix_directory != playlist_directory:
        prefix_directory = posixpath.join(playlist_directory, prefix_directory.lstrip("/"))
    else:
        prefix_directory = playlist_directory
    live_name = posixpath.basename(filled(output.live_playlist_name))
    return SegmentPaths(
        segment_prefix=_absolute(posixpath.join(prefix_directory, prefix_name)),
        playlist=_absolute(posixpath.join(playlist_directory, playlist_name)),
        live_playlist=(
            _absolute(posixpath.join(playlist_directory, _with_playlist_suffix(live_name)))
            if live_name
            else ""
        ),
        timestamp_suffix=output.filename_suffix == egress.SegmentedFileSuffix.TIMESTAMP,
    )


def segment_output(request: egress.TrackCompositeEgressRequest) -> egress.SegmentedFileOutput | None:
    """The segmented output of a request, from the list or from the deprecated single field."""
    if request.segment_outputs:
        return request.segment_outputs[0]
    return request.segments if request.HasField("segments") else None


def _with_playlist_suffix(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return f"{stem if dot else name}.m3u8"


def _absolute(path: str) -> str:
    # The real handler runs in "/", so a relative name ends up directly below it.
    return posixpath.normpath(posixpath.join("/", path))

"""A track's pictures, all of them."""

from __future__ import annotations

from typing import Any

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto import ffi_pb2, video_frame_pb2

_WITHOUT_BOUND = 0


class EveryPicture(rtc.VideoStream):
    """A stream that leaves no picture out, however late its reader comes.

    LiveKit's binding of libwebrtc holds one picture for a reader and replaces it by the next, which is what a
    viewer wants. The request has a field for it, `rtc.VideoStream` (1.2.1) has no argument; `rtc.AudioStream`
    sets the same field of its own request to "without a bound".
    """

    def _create_owned_stream(self) -> Any:
        if self._track is None:
            raise TypeError("pictures are read from a track here, not from a participant")
        request = ffi_pb2.FfiRequest()
        request.new_video_stream.CopyFrom(
            video_frame_pb2.NewVideoStreamRequest(
                track_handle=self._track._ffi_handle.handle,
                type=video_frame_pb2.VideoStreamType.VIDEO_STREAM_NATIVE,
                format=rtc.VideoBufferType.I420,
                normalize_stride=True,
                queue_size_frames=_WITHOUT_BOUND,
            )
        )
        return FfiClient.instance.request(request).new_video_stream.stream

"""Whether a clip is what was published: picture by picture, and its sound beside that of the segments."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.livekit_double.marks import FrameMark, read_frame_mark, read_tone_position
from tests.media.clip_reader import decode_errors, dropouts, packets

FRAME = 1 / 15
AAC_FRAME = 1024 / 44100
REORDERING = 4 * FRAME
"""The end is cut where no kept frame needs a dropped one: up to the depth of B-frames later."""
CLOCK_SECONDS = 0.05
"""How far the clock of a run may be off: the real worker is 13-27 ms late (docs/sources.md)."""
HELD_PICTURES = 15
"""One second: far longer than it takes until a track that was unpublished is known to have ended."""
LIP_SYNC_SECONDS = 1.0
"""libwebrtc's receiver keeps sound back until it plays without stutter, the longer the busier a machine is:
0.07 s at a load of 9 on two processors, 0.4 to 0.66 s at 12. That is the double's ear; this bound finds the
sound of another moment. What our own code may add is none, and has a check of its own."""

_ADTS_HEADER_BYTES = 7
_WINDOW_SECONDS = 1.0
_TONE_PERIOD_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture: when it is shown, in seconds, and what it says."""

    seconds: float
    mark: FrameMark | None


def seen(file: Path) -> list[Seen]:
    """Decode all pictures that a player shows."""
    with av.open(str(file)) as container:
        return [
            Seen(float(frame.time or 0), read_frame_mark(frame.to_ndarray(format="gray")))
            for frame in container.decode(video=0)
        ]


def check_pictures(clip: Path, start: datetime, end: datetime, arrived: Iterable[int]) -> None:
    """Check that a clip shows exactly what was published from `start` to `end`.

    Args:
        clip: The file.
        start: What was asked for.
        end: What was asked for.
        arrived: Numbers of the pictures that the witness got. One that it never got may be missing here too;
            the one before is shown longer then.
    """
    pictures = seen(clip)
    shown = [picture.mark for picture in pictures if picture.mark is not None]
    assert len(shown) == len(pictures), "a black picture"
    first, last = shown[0].frame_number, shown[-1].frame_number
    numbers = [mark.frame_number for mark in shown]
    lost = set(range(first, last + 1)) - set(arrived) - set(numbers)
    expected = [held_number(number, lost) for number in range(first, last + 1)]
    assert numbers == expected, f"a picture is missing or doubled; lost before it came here: {sorted(lost)}"
    assert len(lost) <= len(numbers) / 10, "the publisher lost so much that this tells nothing"
    assert shown[0].captured_at_ms / 1000 - start.timestamp() + CLOCK_SECONDS >= 0
    assert shown[0].captured_at_ms / 1000 - start.timestamp() <= FRAME + CLOCK_SECONDS
    assert shown[-1].captured_at_ms / 1000 - end.timestamp() + CLOCK_SECONDS >= -FRAME
    assert shown[-1].captured_at_ms / 1000 - end.timestamp() <= REORDERING + CLOCK_SECONDS
    assert decode_errors(clip) == ""
    steps = packets(clip, "video").steps()
    assert max(steps) < 1.5 * FRAME, f"a hole of {max(steps):.3f} s in the picture"


def check_timeline(clip: Path) -> list[Seen]:
    """Check that what a clip shows lies where it was captured, whatever was not recorded in between.

    Returns:
        What it shows.
    """
    pictures = [picture for picture in seen(clip) if picture.mark is not None]
    marks = [(picture.mark, picture.seconds) for picture in pictures if picture.mark is not None]
    numbers = [mark.frame_number for mark, _ in marks]
    assert numbers == sorted(numbers)
    # The recorder holds the last picture of a track that has just ended: only when it first shows one counts.
    first_shown = dict(reversed(marks))
    began = [mark.captured_at_ms / 1000 - seconds for mark, seconds in first_shown.items()]
    # Each run has a clock of its own, and may begin or end with a picture that another one was to follow.
    assert max(began) - min(began) < FRAME + 2 * CLOCK_SECONDS
    assert len(marks) - len(first_shown) < HELD_PICTURES, "what stands still is no recording"
    assert decode_errors(clip) == ""
    return pictures


def held_number(number: int, lost: set[int]) -> int:
    """The number that is shown in the place of one."""
    while number in lost:
        number -= 1
    return number


def check_sound(clip: Path, *, ahead_seconds: float = 0.0) -> None:
    """Check that the tone goes on without a break and belongs to what is shown, if anything is.

    Args:
        clip: The file.
        ahead_seconds: What the tone is ahead of the time: `MICROPHONE_AHEAD_SECONDS` for a microphone.
    """
    steps = packets(clip, "audio").steps()
    assert max(steps) < 1.5 * AAC_FRAME, f"a hole of {max(steps):.3f} s in the sound"
    offsets = av_offsets(clip, ahead_seconds)
    # Most of them: a second in which the publisher's sound came too late to be played tells anything.
    assert abs(median(offsets)) < LIP_SYNC_SECONDS, f"sound and picture are apart: {offsets}"


def av_offsets(clip: Path, ahead_seconds: float = 0.0) -> list[float]:
    """How much later than the picture of the same instant the sound is heard, second by second."""
    shown = [picture for picture in seen(clip) if picture.mark is not None]
    epochs = [p.mark.captured_at_ms / 1000 - p.seconds for p in shown if p.mark is not None]
    zero = float(np.median(epochs))
    found = []
    for seconds, position in tone_positions(clip):
        late = (zero + seconds + ahead_seconds - position) % _TONE_PERIOD_SECONDS
        found.append(late if late < _TONE_PERIOD_SECONDS / 2 else late - _TONE_PERIOD_SECONDS)
    assert found, "no tone at all"
    return found


def tone_positions(clip: Path) -> list[tuple[float, float]]:
    """What the tone tells in each second of a clip: seconds in the clip, position."""
    with av.open(str(clip)) as container:
        frames = list(container.decode(audio=0))
    rate, began = frames[0].sample_rate, float(frames[0].time or 0)
    samples: NDArray[np.float32] = np.concatenate([f.to_ndarray()[0] for f in frames]).astype(np.float32)
    window = round(_WINDOW_SECONDS * rate)
    read = [
        (began + at / rate, read_tone_position(samples[at : at + window], rate))
        for at in range(window // 10, len(samples) - window, window)
    ]
    return [(seconds, position) for seconds, position in read if position is not None]


def check_against_segments(clip: Path, segments: Sequence[Path]) -> None:
    """Check that picture and sound lie to each other as in the segments, and that no sound was lost.

    A publisher on a busy machine sends late, and the receiver fills in: such a break is in the segments too.

    Args:
        clip: The file.
        segments: Of the one run that it was cut from.
    """
    video = shift(_numbers(clip), (pair for segment in segments for pair in _numbers(segment)))
    audio = shift(
        _frames_of_sound(clip, lambda data: data),
        (
            pair
            for segment in segments
            for pair in _frames_of_sound(segment, lambda data: data[_ADTS_HEADER_BYTES:])
        ),
    )
    assert audio == pytest.approx(video, abs=0.001), "the joining has moved the sound against the picture"
    with tempfile.NamedTemporaryFile(suffix=".ts") as joined:
        for segment in segments:
            joined.write(segment.read_bytes())
        joined.flush()
        breaks = [seconds - audio for seconds in dropouts(Path(joined.name))]
    made = [each for each in dropouts(clip) if not any(abs(each - known) < AAC_FRAME for known in breaks)]
    assert made == [], "the tone breaks where it goes on in the segments"


def shift(in_clip: Iterable[tuple[object, float]], in_segments: Iterable[tuple[object, float]]) -> float:
    """How much earlier everything is in the clip; it is the same for all.

    Args:
        in_clip: What is there, and when.
        in_segments: What is there, and when. What is there twice, as moments of silence are, tells nothing.
    """
    there = list(in_segments)
    once = {key for key, times in Counter(key for key, _ in there).items() if times == 1}
    places = {key: seconds for key, seconds in there if key in once}
    shifts = [places[key] - seconds for key, seconds in in_clip if key in places]
    assert len(shifts) > 1
    assert shifts == pytest.approx([shifts[0]] * len(shifts), abs=0.001)
    return shifts[0]


def _numbers(file: Path) -> list[tuple[object, float]]:
    pictures = [(p.mark.frame_number, p.seconds) for p in seen(file) if p.mark is not None]
    # Of one that is held, the first.
    return list(dict(reversed(pictures)).items())


def _frames_of_sound(file: Path, payload: Callable[[bytes], bytes]) -> list[tuple[object, float]]:
    with av.open(str(file)) as container:
        return [
            (payload(bytes(packet)), float(packet.pts * packet.time_base))
            for packet in container.demux(audio=0)
            if packet.pts is not None and packet.time_base is not None and packet.size
        ]

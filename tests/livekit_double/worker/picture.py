"""The camera: frames with a mark, a gradient and something that moves."""

import numpy as np
from numpy.typing import NDArray

from tests.livekit_double.marks import FrameMark, draw_frame_mark

_BLACK_LUMA = 16
_NEUTRAL_CHROMA = 128


class Camera:
    """Draws yuv420p frames into one buffer that it reuses."""

    def __init__(self, width: int, height: int) -> None:
        """Prepares the still part.

        Args:
            width: pixels, even.
            height: pixels, even.
        """
        self._width = width
        self._height = height
        self._still = np.full((height * 3 // 2, width), _NEUTRAL_CHROMA, np.uint8)
        rows, columns = np.mgrid[0:height, 0:width]
        self._still[:height] = (columns * 160 // width + rows * 40 // height + 32).astype(np.uint8)
        self._frame = self._still.copy()

    def frame(self, mark: FrameMark) -> NDArray[np.uint8]:
        """The frame with this mark. Valid until the next call."""
        np.copyto(self._frame, self._still)
        luma = self._frame[: self._height]
        side = self._height // 6
        left = mark.frame_number * 3 % (self._width - side)
        luma[self._height // 2 : self._height // 2 + side, left : left + side] = 220
        draw_frame_mark(luma, mark)
        return self._frame


def black_picture(width: int, height: int) -> NDArray[np.uint8]:
    """What egress shows while no packets come: black, without a mark.

    Args:
        width: pixels, even.
        height: pixels, even.
    """
    picture = np.full((height * 3 // 2, width), _NEUTRAL_CHROMA, np.uint8)
    picture[:height] = _BLACK_LUMA
    return picture

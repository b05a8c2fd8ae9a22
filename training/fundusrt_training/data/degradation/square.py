"""A photograph as the enhancement model sees it: cut to its field of view, padded to a square, resized."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.field_frame import FieldFrame
from fundusrt.image import FundusImage
from fundusrt.manifest import FrameSpec
from fundusrt.preprocess import to_8_bit

__all__ = ["square_eye"]


def square_eye(image: FundusImage, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return (side, side, 3) RGB uint8 and the field of view (side, side) bool, black outside it.

    It is the frame of deployment (`fundusrt.field_frame`).

    Args:
        image: grey (repeated) or RGB, 8 or 16 bit.
        side: px of the result.

    Raises:
        InvalidInput: an image without a field of view.
    """
    pixels = to_8_bit(image.pixels)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    frame = FieldFrame.around(image, FrameSpec(height_px=side, width_px=side))
    return frame.cut(pixels, image.fov), frame.cut_field(image.fov)

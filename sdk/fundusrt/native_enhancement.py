"""An enhanced frame to an enhanced image at the image's own size; pixels outside the field of view stay as they are.

    residual   image + resize(enhanced frame - frame)      the image's own detail stays
    direct     resize(enhanced frame)                      only what the frame could hold

Both resize bilinearly at pixel centres, clip to [0, 1] and round, once and at the end. 16-bit images are enhanced at
their full depth; the result has 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fundusrt.field_frame import FieldFrame
from fundusrt.image import FundusImage
from fundusrt.preprocess import to_8_bit

__all__ = ["NATIVE", "direct", "residual", "rgb_8_bit"]

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

_BAND_ROWS = 256  # float copies of the image are no larger than this many rows


def residual(eye: FundusImage, frame: FieldFrame, seen: Bytes, enhanced: Values) -> Bytes:
    """Add what the network changed to the image.

    Args:
        eye: the image.
        frame: where the frame lies in it.
        seen: (h, w[, 3]) uint8, the frame as the network saw it.
        enhanced: (3, h, w) float32 RGB, the network's answer; 0 is black and 1 white.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    before = np.broadcast_to(seen[..., None] if seen.ndim == 2 else seen, (*seen.shape[:2], 3))
    scale = np.float32(1.0 / np.iinfo(eye.pixels.dtype).max)
    image = rgb_8_bit(eye)
    for channel in range(3):
        change = frame.to_native(enhanced[channel] - before[..., channel] * np.float32(1.0 / 255.0))
        native = eye.pixels if eye.pixels.ndim == 2 else eye.pixels[..., channel]
        for rows in _bands(eye.height):
            _put(image, rows, channel, native[rows] * scale + change[rows], eye)
    return image


def direct(eye: FundusImage, frame: FieldFrame, seen: Bytes, enhanced: Values) -> Bytes:
    """Resize the enhanced frame itself. Arguments and result as of `residual`."""
    del seen
    image = rgb_8_bit(eye)
    for channel in range(3):
        values = frame.to_native(enhanced[channel])
        for rows in _bands(eye.height):
            _put(image, rows, channel, values[rows], eye)
    return image


NATIVE: dict[str, Callable[[FundusImage, FieldFrame, Bytes, Values], Bytes]] = {"residual": residual, "direct": direct}
"""The ways by their name in the manifest."""


def rgb_8_bit(eye: FundusImage) -> Bytes:
    """Return the image as a new (H, W, 3) uint8 RGB array; grey is repeated."""
    pixels = to_8_bit(eye.pixels)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels.copy()


def _bands(height: int) -> list[slice]:
    return [slice(row, row + _BAND_ROWS) for row in range(0, height, _BAND_ROWS)]


def _put(image: Bytes, rows: slice, channel: int, values: Values, eye: FundusImage) -> None:
    """Clip, round and store the values inside the field of view."""
    levels = np.rint(np.clip(values, 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    np.copyto(image[rows, :, channel], levels, where=eye.fov[rows])

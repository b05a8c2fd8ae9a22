"""A photograph as the enhancement model sees it: cut to its field of view, padded to a square, resized."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.image import FundusImage
from fundusrt.preprocess import to_8_bit

__all__ = ["square_eye"]


def square_eye(image: FundusImage, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return (side, side, 3) RGB uint8 and the field of view (side, side) bool, black outside it.

    Args:
        image: grey (repeated) or RGB, 8 or 16 bit.
        side: px of the result.

    Raises:
        InvalidInput: an image without a field of view.
    """
    rows, columns = np.flatnonzero(image.fov.any(axis=1)), np.flatnonzero(image.fov.any(axis=0))
    if not len(rows):
        raise InvalidInput(
            image.source_id, got="no field of view", expected="a photograph of an eye", fix="leave it out"
        )
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    pixels, fov = to_8_bit(image.pixels)[box], image.fov[box]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    height, width = fov.shape
    longer = max(height, width)
    top, left = (longer - height) // 2, (longer - width) // 2
    margins = (top, longer - height - top), (left, longer - width - left)
    framed = np.pad(pixels * fov[..., None], (*margins, (0, 0)))
    interpolation = cv2.INTER_AREA if longer >= side else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(framed, (side, side), interpolation=interpolation), np.uint8)
    inside = cv2.resize(np.pad(fov, margins).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    kept = np.asarray(inside) > 0
    return small * kept[..., None], kept

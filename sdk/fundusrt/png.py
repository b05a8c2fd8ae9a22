"""Pixels to the bytes of a PNG file; the one place that turns RGB into the channel order of OpenCV for writing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.errors import OutputError

__all__ = ["encode_png"]


def encode_png(pixels: npt.NDArray[Any], compression: int = 1) -> bytes:
    """Return the content of a PNG file.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, uint8 or uint16.
        compression: 0 to 9; 1 writes a 12-megapixel picture three times faster than OpenCV's default for 15 % more
            bytes.

    Raises:
        OutputError: no such array.
    """
    import cv2

    stored = np.ascontiguousarray(pixels[..., ::-1]) if pixels.ndim == 3 else pixels
    try:
        done, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    except cv2.error:
        done, encoded = False, np.empty(0, np.uint8)
    if not done:
        raise OutputError(
            "PNG encoding",
            got=f"array {pixels.shape} {pixels.dtype}",
            expected="an encodable image",
            fix="pass uint8 or uint16, (H, W) or (H, W, 3)",
        )
    return encoded.tobytes()

"""The golden test vectors of a bundle: one image, and what the trained system makes of it at every stage."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.png import encode_png
from fundusrt.preprocess import to_8_bit

__all__ = [
    "MAP_STEP",
    "golden_angiogram",
    "golden_photograph",
    "stored_array",
    "stored_map",
    "stored_mask",
    "stored_picture",
]

MAP_STEP = 2.0**-16
"""Maps are rounded to multiples of this: an error of at most 7.6e-6, where the limit is 1e-4, for half the bytes."""

# 2 x 2 tiles after rounding, so that swapped rows and columns show, and a resize in both directions.
_HEIGHT, _WIDTH, _SEED = 768, 1000, 20260324
_NAME = "golden image"
_SMALLEST = 9  # compression of a PNG file


def golden_angiogram(path: str | Path | None) -> FundusImage:
    """Return the golden image of a system for angiograms: a file, or a generated angiogram.

    An image with a `source_id` that names no path, since it is written into the bundle.

    Raises:
        InvalidInput: the file cannot be read.
    """
    return from_array(_generated() if path is None else to_8_bit(read_image(path).pixels), source_id=_NAME)


def golden_photograph(path: str | Path | None) -> FundusImage:
    """Return the golden image of a system for colour photographs: a file, or a generated angiogram, coloured.

    The three channels differ everywhere inside, so that their order shows. It shows no patient.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if path is not None:
        return golden_angiogram(path)
    grey = _generated().astype(np.uint16)
    coloured = np.stack([np.minimum(255, grey + grey // 2), grey, grey // 2], axis=2)
    return from_array(coloured.astype(np.uint8), source_id=_NAME)


def _generated() -> npt.NDArray[np.uint8]:
    from fundusrt_training.data.angiogram import generate

    return generate(_SEED, height=_HEIGHT, width=_WIDTH).image


def stored_array(array: npt.NDArray[Any]) -> bytes:
    """Return an array as a compressed `.npz` file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array)  # NumPy dates its members 1980: the bytes depend on the content alone
    return buffer.getvalue()


def stored_map(values: npt.NDArray[np.float32]) -> bytes:
    """Return a float32 map as a compressed `.npz` file, rounded to `MAP_STEP`."""
    return stored_array(_rounded(values))


def stored_picture(pixels: npt.NDArray[Any]) -> bytes:
    """Return an (H, W) grey or (H, W, 3) RGB picture as an 8-bit PNG file."""
    return encode_png(to_8_bit(pixels), _SMALLEST)


def stored_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """Return an (H, W) mask as a PNG file of 0 and 255."""
    return encode_png(mask.astype(np.uint8) * np.uint8(255), _SMALLEST)


def _rounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (np.round(values / MAP_STEP) * MAP_STEP).astype(np.float32)

"""The golden test vectors of a bundle: one image, and what the trained system makes of it at every stage."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.errors import OutputError
from fundusrt.image import FundusImage, from_array, read_image
from fundusrt.manifest import GoldenSpec
from fundusrt.preprocess import to_8_bit
from fundusrt_export.parity.reference import ReferenceMaps

__all__ = ["GOLDEN", "MAP_STEP", "golden_files", "golden_source"]

GOLDEN = GoldenSpec(
    image="golden/input.png",
    grid="golden/preprocessed.npz",
    whole="golden/whole.npz",
    large="golden/large.npz",
    small="golden/small.npz",
    mask="golden/mask.png",
)

MAP_STEP = 2.0**-16
"""Maps are rounded to multiples of this: an error of at most 7.6e-6, where the limit is 1e-4, for half the bytes."""

# 2 x 2 tiles after rounding, so that swapped rows and columns show, and a resize in both directions.
_HEIGHT, _WIDTH, _SEED = 768, 1000, 20260324


def golden_source(path: str | Path | None) -> FundusImage:
    """Return the golden image: a file, or a generated angiogram.

    An image with a `source_id` that names no path, since it is written into the bundle.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if path is not None:
        image = read_image(path)
        return from_array(to_8_bit(image.pixels), source_id="golden image")
    from fundusrt_training.data.angiogram import generate

    return from_array(generate(_SEED, height=_HEIGHT, width=_WIDTH).image, source_id="golden image")


def golden_files(image: FundusImage, maps: ReferenceMaps) -> dict[str, bytes]:
    """Return the content of every golden file by name; arrays as compressed `.npz`, the maps rounded to `MAP_STEP`."""
    return {
        GOLDEN.image: _png(to_8_bit(image.pixels)),
        GOLDEN.grid: _npz(maps.grid),
        GOLDEN.whole: _npz(maps.whole),
        GOLDEN.large: _npz(_rounded(maps.p_whole)),
        GOLDEN.small: _npz(_rounded(maps.p_grid)),
        GOLDEN.mask: _png(maps.mask.astype(np.uint8) * np.uint8(255)),
    }


def _rounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (np.round(values / MAP_STEP) * MAP_STEP).astype(np.float32)


def _npz(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array)  # NumPy dates its members 1980: the bytes depend on the content alone
    return buffer.getvalue()


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    import cv2

    stored = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise OutputError(
            "golden PNG",
            got=f"shape {pixels.shape}",
            expected="an encodable image",
            fix="pass uint8 (H, W) or (H, W, 3)",
        )
    return encoded.tobytes()

"""What kernels look up instead of computing: small arrays to copy to the device once.

Built with the functions and the roundings of the CPU path, so that a table entry is the CPU's number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.manifest import PreprocessSpec
from fundusrt.preprocess import to_tensor

__all__ = ["lab", "normalisation", "pack_field"]


def normalisation(spec: PreprocessSpec, *, half: bool = False) -> npt.NDArray[Any]:
    """Return the network's input value of every byte, (channels, 256) float32, or float16 where `half`.

    `to_tensor` is applied to all 256 bytes, so a gathered tile equals its tensor bit for bit.
    """
    every = np.arange(256, dtype=np.uint8)[None]
    if spec.channels == 3:
        every = np.repeat(every[..., None], 3, axis=2)
    table = np.ascontiguousarray(to_tensor(every, spec)[:, 0])
    return table.astype(np.float16) if half else table


def pack_field(fov: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Return a field of view as the kernels read it: (H, ceil(W / 8)) uint8, a bit a pixel, the lowest bit first."""
    return np.packbits(fov, axis=1, bitorder="little")


def lab() -> npt.NDArray[np.uint16]:
    """Return the tables of the 8-bit conversions between sRGB and Lab, (7936,) uint16; layout as in `colour.cu`.

    OpenCV converts in whole numbers over these functions (CIE 1976 L*a*b*, D65; sRGB transfer curve), scaled by powers
    of two and rounded half to even.
    """
    byte = np.arange(256) / 255.0
    linear = 255 * 8 * np.where(byte <= 0.04045, byte / 12.92, ((byte + 0.055) / 1.055) ** 2.4)
    light = np.arange(3072) / (255.0 * 8)
    root = 2**15 * np.where(light < (6 / 29) ** 3, light * (841 / 108) + 16 / 116, np.cbrt(light))
    level = np.arange(256)
    f = 2**14 * (level * (100 / 255) + 16) / 116
    dark = level <= 20
    light_f = np.where(dark, 2**14 * (16 / 116 + level * 5 / (3 * 17 * 29)), f)
    light_y = np.where(dark, level * 2**14 * 180 / (17 * 29**3), f**3 / 2**28)
    part = np.arange(4096) / 4096
    encoded = 255 * np.where(part <= 0.0031308, part * 12.92, 1.055 * part ** (1 / 2.4) - 0.055)
    # By way of float32: two entries lie so near a half that OpenCV, computing in float32, meets exactly a half.
    columns = (linear, root, light_y, light_f, encoded)
    return np.concatenate([np.rint(column.astype(np.float32)) for column in columns]).astype(np.uint16)

"""A small piece of picture with a place in the large one."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.raster import enlarge, soften

__all__ = ["Patch", "grid", "lumps", "place"]


@dataclasses.dataclass(frozen=True)
class Patch:
    """Shape and inner structure of one lesion.

    y0, x0: place of its first pixel in the image (may be negative). shape: (h, w) float32 in [0, 1], graded edges, no
    structure. texture: (h, w) float32, factor about 1.
    """

    y0: int
    x0: int
    shape: NDArray[np.float32]
    texture: NDArray[np.float32]

    def cropped(self, eye: Eye) -> Patch | None:
        """Return the part that lies inside the image, None where there is none."""
        height, width = self.shape.shape
        top, left = max(0, -self.y0), max(0, -self.x0)
        bottom, right = min(height, eye.height - self.y0), min(width, eye.width - self.x0)
        if bottom - top < 2 or right - left < 2:
            return None
        part = (slice(top, bottom), slice(left, right))
        return Patch(self.y0 + top, self.x0 + left, self.shape[part], self.texture[part])

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the patch lies, as slices of the image."""
        height, width = self.shape.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)


def place(center: tuple[float, float], shape: NDArray[np.float32], texture: NDArray[np.float32], size_px: int) -> Patch:
    """Return a square patch of size_px about center (y, x); shape and texture are enlarged to it where smaller."""
    shape, texture = enlarge(shape, size_px, size_px), enlarge(texture, size_px, size_px)
    return Patch(round(center[0] - size_px / 2), round(center[1] - size_px / 2), shape, texture)


def grid(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (y, x), columns and rows of coordinates from -1 to 1, of shapes (size, 1) and (1, size)."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    return line[:, None], line[None, :]


def lumps(
    rng: np.random.Generator, size: int, count: int, radius_px: tuple[float, float], spread: float
) -> NDArray[np.float32]:
    """Return (size, size) float32 in [0, 1]: round lumps, normally scattered about the middle, with soft edges."""
    canvas = np.zeros((size, size), np.uint8)
    places = (0.5 + rng.normal(0, spread / 2, (count, 2)) / 2) * size
    radii = np.maximum(0.6, rng.uniform(*radius_px, count))
    greys = rng.integers(90, 256, count)
    for (y, x), radius, grey in zip(places, radii, greys, strict=True):
        cv2.circle(canvas, (round(x * 8), round(y * 8)), round(radius * 8), int(grey), -1, cv2.LINE_AA, 3)
    return soften(canvas, 0.3 * radius_px[1], 0.5).astype(np.float32) / np.float32(255)

"""Where disc and fovea of one eye lie in one image, and how long a native pixel is there."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

__all__ = ["NATIVE_HEIGHT", "NATIVE_WIDTH", "Eye", "draw_eye"]

NATIVE_HEIGHT = 3072
NATIVE_WIDTH = 3900


@dataclasses.dataclass(frozen=True)
class Eye:
    """Geometry of one image; points are (y, x) in px of the image.

    scale: px of this image per px of the native 3072 x 3900 image.
    laterality: "R" has the fovea left of the disc, "L" right of it, as seen by the examiner.
    disc_radius_px: radius of the disc. foveal_distance_px: centre of the disc to the fovea.
    """

    height: int
    width: int
    scale: float
    laterality: Literal["L", "R"]
    disc: tuple[float, float]
    fovea: tuple[float, float]
    disc_radius_px: float
    foveal_distance_px: float

    def px(self, native_px: float) -> float:
        """Return a native length in px of this image."""
        return native_px * self.scale

    @property
    def temporal_angle(self) -> float:
        """Angle of the direction disc to fovea in radians, atan2(dy, dx)."""
        return math.atan2(self.fovea[0] - self.disc[0], self.fovea[1] - self.disc[1])


def draw_eye(rng: np.random.Generator, height: int, width: int) -> Eye:
    """Draw one eye for an image of height x width px."""
    scale = math.sqrt(height * width / (NATIVE_HEIGHT * NATIVE_WIDTH))
    laterality: Literal["L", "R"] = "R" if rng.random() < 0.5 else "L"
    side = -1.0 if laterality == "R" else 1.0
    radius = rng.uniform(74.0, 98.0) * scale
    distance = radius * 2 * rng.uniform(2.2, 2.6)
    fovea_y = height * (0.515 + rng.normal(0, 0.02))
    fovea_x = width * (0.5 + rng.normal(0, 0.02))
    tilt = rng.normal(math.radians(4), math.radians(3))  # the fovea lies a little below the disc
    disc = (fovea_y - distance * math.sin(tilt), fovea_x - side * distance * math.cos(tilt))
    return Eye(height, width, scale, laterality, disc, (fovea_y, fovea_x), radius, distance)

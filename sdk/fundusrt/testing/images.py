"""Pictures with a field of view and something to find, without a file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["tiny_image", "tiny_photograph"]


def tiny_image(height: int = 144, width: int = 208) -> npt.NDArray[np.uint8]:
    """Return an (H, W) uint8 picture: a bright disc in black surround, a smooth background, and four bright spots."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    radius = 0.46 * min(height, width)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    inside = np.hypot(y - centre_y, x - centre_x) <= radius
    levels = 70.0 + 25.0 * np.cos(y / 9.0) * np.sin(x / 11.0)
    for row, column, spread in ((-0.4, -0.3, 0.10), (0.3, 0.2, 0.16), (-0.1, 0.5, 0.06), (0.5, -0.4, 0.08)):
        distance = np.hypot(y - centre_y - row * radius, x - centre_x - column * radius)
        levels += 150.0 * np.exp(-((distance / (spread * radius)) ** 2))
    return np.where(inside, np.clip(levels, 0.0, 255.0), 0.0).astype(np.uint8)


def tiny_photograph(height: int = 144, width: int = 208) -> npt.NDArray[np.uint8]:
    """Return an (H, W, 3) RGB uint8 picture: `tiny_image` in the colours of a fundus photograph, red above blue."""
    grey = tiny_image(height, width).astype(np.uint16)
    return np.stack([np.minimum(255, grey + grey // 3), grey, grey // 2], axis=2).astype(np.uint8)

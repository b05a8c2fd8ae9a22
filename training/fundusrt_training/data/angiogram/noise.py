"""Smooth random fields made cheaply: noise on a coarse grid, enlarged octave by octave."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["octave_noise", "smooth_noise"]


def smooth_noise(rng: np.random.Generator, height: int, width: int, pitch_px: float) -> NDArray[np.float32]:
    """Return one octave of noise, zero mean, standard deviation about 0.7 (1 where pitch_px <= 1).

    pitch_px: distance of the grid points that carry independent values. Returns (height, width) float32.
    """
    return octave_noise(rng, height, width, [(pitch_px, 1.0)])


def octave_noise(
    rng: np.random.Generator, height: int, width: int, octaves: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:
    """Return a sum of octaves of noise.

    octaves: (pitch in px, amplitude), in any order; drawn from coarse to fine, each on its own grid, so that only
    the finest is as large as the image. Returns (height, width) float32.
    """
    field: NDArray[np.float32] | None = None
    for pitch_px, amplitude in sorted(octaves, reverse=True):
        step = max(1.0, pitch_px)
        rows, columns = max(2, round(height / step)), max(2, round(width / step))
        fresh = rng.standard_normal((rows, columns), dtype=np.float32)
        fresh *= np.float32(amplitude)
        if field is None:
            field = fresh
        else:
            field = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)
            field += fresh
    if field is None:
        return np.zeros((height, width), np.float32)
    if field.shape != (height, width):
        field = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)
    return field

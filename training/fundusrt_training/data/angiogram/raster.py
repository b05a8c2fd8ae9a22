"""Smooth fields made small and enlarged, and the blur that all painters share."""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye

__all__ = ["coarse_coordinates", "enlarge", "soften"]

Sample = TypeVar("Sample", np.uint8, np.float32)


def coarse_coordinates(eye: Eye, pitch_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return y and x in px of the image at the pixels of a grid pitch_px native px coarser, (h, 1) and (1, w)."""
    pitch = max(1, min(pitch_px, round(pitch_px * eye.scale)))
    rows, columns = max(8, eye.height // pitch), max(8, eye.width // pitch)
    y = (np.arange(rows, dtype=np.float32) + np.float32(0.5)) * np.float32(eye.height / rows)
    x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) * np.float32(eye.width / columns)
    return y[:, None], x[None, :]


def enlarge(field: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Return a coarse field, (h, w) of any real dtype, at (height, width) as float32, bilinear."""
    small = np.asarray(field, np.float32)
    if small.shape == (height, width):
        return small
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def soften(picture: NDArray[Sample], sigma_px: float, least_px: float = 0.45) -> NDArray[Sample]:
    """Return the picture after a Gaussian blur of at least least_px; same shape and dtype."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), max(least_px, sigma_px)), picture.dtype)

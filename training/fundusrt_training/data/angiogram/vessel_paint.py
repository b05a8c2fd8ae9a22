"""Painting of vessel trees: tapered antialiased lines, brighter where wider."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fundusrt_training.data.angiogram.eye import Eye
from fundusrt_training.data.angiogram.raster import soften
from fundusrt_training.data.angiogram.vessels import VesselTree

__all__ = ["paint_vessels"]

_WIDEST_PX = 20.0  # native width that is painted with full brightness
_SHIFT = 4  # binary digits after the point of the coordinates given to OpenCV
_LEVELS = 32


def paint_vessels(rng: np.random.Generator, tree: VesselTree, eye: Eye) -> NDArray[np.uint8]:
    """Paint the vessels. Returns (H, W) uint8, brightness over the background, 255 = the widest vessel."""
    canvas = np.zeros((eye.height, eye.width), np.uint8)
    native = tree.width / np.float32(eye.scale)
    bright = (native / _WIDEST_PX) ** 0.62 * np.clip(native / 6.0, 0.0, 1.0) ** 0.4
    vessel = rng.uniform(0.78, 1.12, int(tree.path.max()) + 1)[tree.path] if len(tree.path) else 1.0
    bright = np.clip(bright * vessel, 0.0, 1.0)
    thick = np.maximum(1, np.round(0.85 * tree.width)).astype(np.int64)
    # a line cannot be drawn thinner than one pixel: it is drawn fainter
    bright = bright * np.minimum(1.0, tree.width / thick) ** 0.7
    level = np.clip(np.round(bright * _LEVELS), 1, _LEVELS).astype(np.int64)
    ends = np.stack([tree.start[:, ::-1], tree.end[:, ::-1]], axis=1)
    fixed = np.round(ends * (1 << _SHIFT)).astype(np.int32)
    group = level * 64 + np.minimum(thick, 63)
    order = np.argsort(group, kind="stable")  # bright over dim
    keys, first = np.unique(group[order], return_index=True)
    for key, members in zip(keys.tolist(), np.split(order, first[1:]), strict=True):
        grey = round(key // 64 / _LEVELS * 255)
        cv2.polylines(canvas, list(fixed[members]), False, grey, key % 64, cv2.LINE_AA, _SHIFT)
    return soften(canvas, 0.95 * eye.scale)

"""Tiles and their seams, without the stitcher: what a stitched map must equal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import largest_difference
from fundusrt.pipeline import SegmentationPipeline
from fundusrt.preprocess import to_tensor

__all__ = ["seam_difference", "tiles_one_by_one"]

Map = npt.NDArray[np.float32]


def seam_difference(reference: npt.NDArray[Any], made: npt.NDArray[Any], side: int) -> float:
    """Return how much the jumps of two (H, W) maps across the borders of tiles of `side` px differ at most.

    Every map jumps where its image does; a seam is a jump that the reference has not. Infinity where nothing compares,
    0 where there is one tile.
    """
    if not math.isfinite(largest_difference(reference, made)):
        return math.inf
    difference = made.astype(np.float64) - reference.astype(np.float64)
    worst = 0.0
    for values in (difference, difference.T):
        jumps = values[side::side] - values[side - 1 : -1 : side]
        worst = max(worst, float(np.abs(jumps).max(initial=0.0)))
    return worst


def tiles_one_by_one(pipeline: SegmentationPipeline, on_grid: npt.NDArray[np.uint8]) -> Map:
    """Return the tile network's (H, W) map of a grid-sized uint8 image: each tile by itself, put where it was cut."""
    side, spec = pipeline.manifest.tile.size, pipeline.manifest.preprocess
    session = pipeline.small
    (name,), (output,) = session.inputs, session.outputs
    height, width = on_grid.shape[:2]
    made = np.full((height, width), np.nan, np.float32)
    for y in range(0, height, side):
        for x in range(0, width, side):
            window = np.ascontiguousarray(on_grid[y : y + side, x : x + side])
            made[y : y + side, x : x + side] = session.run({name: to_tensor(window, spec)[None]})[output][0, 0]
    return made

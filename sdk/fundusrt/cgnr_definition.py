"""CGNR and fusion pixel by pixel, from their definition: what the deployed ones, in OpenCV and in bands, must equal.

Written for reading, slow: plain Python over the pixels that could be switched on.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import measured
from fundusrt.certificate import Measurement, Rung
from fundusrt.cgnr import cgnr
from fundusrt.fusion import fuse
from fundusrt.ladder import LADDER
from fundusrt.manifest import PostprocessSpec

__all__ = ["cgnr_by_definition", "cgnr_rung", "fused_by_definition"]

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float32]
Mode = Literal["parallel", "raster", "converge"]

NAME = "cgnr"
MODES: tuple[Mode, ...] = ("parallel", "raster", "converge")
# Odd, non-square, and higher than the bands of `fusion`; one is a single row and one a single column.
SIZES = ((1, 37), (41, 1), (63, 35), (131, 67))


def cgnr_by_definition(base: Mask, guide: Mask, mode: Mode) -> Mask:
    """Return the refined (H, W) mask; arguments as of `fundusrt.cgnr`, bool only."""
    height, width = base.shape
    rows: list[list[bool]] = base.tolist()
    candidates = [(int(y), int(x)) for y, x in np.argwhere(guide & ~base)]

    def touched(seen: list[list[bool]], y: int, x: int) -> bool:
        near = ((j, i) for j in (y - 1, y, y + 1) for i in (x - 1, x, x + 1))
        return any(0 <= j < height and 0 <= i < width and seen[j][i] for j, i in near)

    while True:
        seen = rows if mode == "raster" else [row.copy() for row in rows]
        switched = 0
        for y, x in candidates:
            if not rows[y][x] and touched(seen, y, x):
                rows[y][x] = True
                switched += 1
        if mode != "converge" or not switched:
            return np.array(rows, bool).reshape(height, width)


def fused_by_definition(p_large: Map, p_small: Map, spec: PostprocessSpec) -> Map:
    """Return the fused (H, W) probability; arguments as of `fundusrt.fusion.fuse`."""
    threshold, w_large = np.float32(spec.threshold), np.float32(spec.w_large)

    def mean(p: Map) -> Map:
        return np.asarray(p + w_large * (p_large - p), np.float32)

    base = mean(p_small) if spec.order == "fuse_then_cgnr" else p_small
    if spec.cgnr.enabled:
        mask, guide = base >= threshold, p_large >= threshold
        base = np.where(cgnr_by_definition(mask, guide, spec.cgnr.mode) & ~mask, p_large, base)
    return mean(base) if spec.order == "cgnr_then_fuse" else base


def cgnr_rung(p_large: Map, p_small: Map, spec: PostprocessSpec, inputs: dict[str, str]) -> Rung:
    """Compare on the maps of an image and on generated masks.

    Args:
        p_large: (H, W) float32 in [0, 1], whole-image branch, at the image's size.
        p_small: the same of the tile branch.
        spec: fusion of the bundle.
        inputs: hashes of what the maps were made from, by name.

    Returns:
        The pixels that differ: of each mode on the image's masks and on generated ones, and of the fused mask.
    """
    threshold = np.float32(spec.threshold)
    base, guide = p_small >= threshold, p_large >= threshold
    figures: list[Measurement] = []
    for mode in MODES:
        differing = _differing(base, guide, mode) if mode == spec.cgnr.mode else 0
        for seed, (height, width) in enumerate(SIZES):
            random = np.random.default_rng(seed).random((2, height, width))
            differing += _differing(random[0] < 0.2, random[1] < 0.6, mode)
        figures.append(measured(NAME, "pixels", float(differing), mode))
    fused, defined = fuse(p_large, p_small, spec), fused_by_definition(p_large, p_small, spec)
    figures.append(measured(NAME, "pixels", float(np.sum((fused >= threshold) != (defined >= threshold))), "fused"))
    return Rung(name=NAME, compares=LADDER[NAME].compares, inputs=inputs, measurements=tuple(figures))


def _differing(base: Mask, guide: Mask, mode: Mode) -> int:
    return int(np.sum(cgnr(base, guide, mode) != cgnr_by_definition(base, guide, mode)))

"""Fusion of the whole-image and the tile probability map (CMWNet paper; `specs` of the bundle choose the order)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.cgnr import cgnr
from fundusrt.errors import InvalidInput
from fundusrt.manifest import PostprocessSpec

__all__ = ["fuse"]

Map = npt.NDArray[np.float32]

_BAND_ROWS = 64


def fuse(p_large: Map, p_small: Map, spec: PostprocessSpec) -> Map:
    """Combine the two maps into one probability whose `>= spec.threshold` is the mask.

    `cgnr_then_fuse`: refine M_S = [p_S >= t] under M_L = [p_L >= t]; on the switched pixels p_S' = p_L; then
    p = w_L p_L + (1 - w_L) p_S'. A switched pixel has p_L >= t, so it stays on for every weight.
    `fuse_then_cgnr`: p = w_L p_L + (1 - w_L) p_S, its mask refined under M_L; switched pixels take p_L.
    `cgnr_only`: p = p_S, switched pixels take p_L.

    Args:
        p_large: (H, W) float32 in [0, 1], whole-image branch.
        p_small: (H, W) float32 in [0, 1], tile branch.
        spec: order, threshold, weight and CGNR mode.

    Returns:
        (H, W) float32 in [0, 1], a new array.

    Raises:
        InvalidInput: shapes differ, or a value is not a number in [0, 1].
    """
    if p_large.shape != p_small.shape:
        raise InvalidInput("probability maps", got=f"{p_large.shape} and {p_small.shape}", expected="one shape")
    for name, p in (("p_large", p_large), ("p_small", p_small)):
        # Before anything else: CGNR would hide a NaN in the one map behind a number from the other.
        lowest, highest = p.min(initial=1.0), p.max(initial=0.0)
        if not (lowest >= 0.0 and highest <= 1.0):
            raise InvalidInput(
                f"probability map {name}", got=f"values from {lowest:g} to {highest:g}", expected="values in [0, 1]"
            )
    w_large = np.float32(spec.w_large)
    if spec.order == "cgnr_then_fuse":
        refined = _take_switched(p_small, p_large, spec) if spec.cgnr.enabled else p_small
        result = _blend(p_large, refined, w_large)
    elif spec.order == "fuse_then_cgnr":
        result = _blend(p_large, p_small, w_large)
        result = _take_switched(result, p_large, spec) if spec.cgnr.enabled else result
    else:
        result = _take_switched(p_small, p_large, spec) if spec.cgnr.enabled else p_small.copy()
    return result


def _blend(p_large: Map, p_small: Map, w_large: np.float32) -> Map:
    """w_L p_L + (1 - w_L) p_S, written p_S + w_L (p_L - p_S) so that equal maps stay exactly equal.

    In bands of rows that stay in the cache: three times faster on 12 megapixels than whole-array operations.
    """
    result = np.empty_like(p_small)
    for y in range(0, p_small.shape[0], _BAND_ROWS):
        large, small, out = (array[y : y + _BAND_ROWS] for array in (p_large, p_small, result))
        np.subtract(large, small, out=out)
        out *= w_large
        out += small
    return result


def _take_switched(base: Map, p_large: Map, spec: PostprocessSpec) -> Map:
    """Return a copy of `base` with the pixels CGNR switches on replaced by p_large."""
    threshold = np.float32(spec.threshold)
    base_mask = base >= threshold
    switched = np.flatnonzero(cgnr(base_mask, p_large >= threshold, spec.cgnr.mode) ^ base_mask)
    result = np.ascontiguousarray(base.copy())
    result.ravel()[switched] = p_large.ravel()[switched]
    return result

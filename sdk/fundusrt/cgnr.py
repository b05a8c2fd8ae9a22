"""Cross-Guided Neighbourhood Refinement (CMWNet paper, Methods).

A pixel that is off in the base mask B and on in the guide mask G is switched on iff one of its eight neighbours in B is
on; everything else stays. Outside the image counts as off. In one parallel pass this is

    B' = B or (G and dilate3x3(B)).

The paper does not say whether the pass sees its own changes, so three readings exist as `mode`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["cgnr"]

Mask = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


def cgnr(base: Mask, guide: Mask, mode: Literal["parallel", "raster", "converge"] = "parallel") -> Mask:
    """Grow the base mask by one neighbourhood under the guide mask.

    Args:
        base: (H, W) bool, or uint8 holding only 0 and 255.
        guide: the same shape and dtype as `base`.
        mode: `parallel` one pass over the unchanged base (order-independent, the default); `raster` one pass from top
            left to bottom right that sees its own changes; `converge` parallel passes until nothing changes.

    Returns:
        The refined (H, W) mask, a new array of the dtype of `base`.

    Raises:
        InvalidInput: shapes differ, another dtype, other values than 0 and 255, or an unknown mode.
    """
    b, g = _as_bytes(base, "base"), _as_bytes(guide, "guide")
    if base.shape != guide.shape or base.dtype != guide.dtype:
        raise InvalidInput(
            "guide mask",
            got=f"{guide.shape} {guide.dtype}",
            expected=f"{base.shape} {base.dtype} like the base mask",
            fix="resize or convert the guide mask first",
        )
    if mode not in ("parallel", "raster", "converge"):
        raise InvalidInput(
            "cgnr mode", got=repr(mode), expected="'parallel', 'raster' or 'converge'", fix="'parallel' is the default"
        )
    if b.size == 0:
        return base.copy()
    refined = {"parallel": _parallel, "raster": _raster, "converge": _converge}[mode](b, g)
    return refined.astype(bool) if base.dtype == np.bool_ else refined


def _as_bytes(mask: Mask, name: str) -> Bytes:
    """Return the mask as uint8 0/255."""
    if not isinstance(mask, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(
            f"{name} mask",
            got=type(mask).__name__,
            expected="a NumPy array (H, W)",
            fix="convert it with numpy.asarray",
        )
    if mask.ndim != 2:
        raise InvalidInput(f"{name} mask", got=f"shape {mask.shape}", expected="(H, W)", fix="pass one mask at a time")
    if mask.dtype == np.bool_:
        return mask.astype(np.uint8) * np.uint8(255)
    if mask.dtype != np.uint8:
        raise InvalidInput(
            f"{name} mask",
            got=str(mask.dtype),
            expected="bool, or uint8 with values 0 and 255",
            fix="threshold it first",
        )
    counts = np.bincount(mask.ravel(), minlength=256)
    if counts[1:255].any():
        other = int(np.flatnonzero(counts[1:255])[0]) + 1
        raise InvalidInput(f"{name} mask", got=f"value {other}", expected="only 0 and 255", fix="threshold it first")
    return mask


def _parallel(b: Bytes, g: Bytes) -> Bytes:
    import cv2

    near = cv2.dilate(b, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=(0.0,))
    cv2.bitwise_and(near, g, dst=near)
    return np.asarray(cv2.bitwise_or(near, b, dst=near), np.uint8)


def _converge(b: Bytes, g: Bytes) -> Bytes:
    """Keep each 8-connected component of (G and not B) that touches B: what repeated passes end in."""
    import cv2

    candidates = cv2.bitwise_and(g, cv2.bitwise_not(b))
    touching = cv2.bitwise_and(candidates, _parallel(b, g))
    count, components = cv2.connectedComponents(candidates, connectivity=8)
    labels = np.asarray(components, np.int32)
    reached = np.zeros(count, np.uint8)
    reached[labels[touching > 0]] = 255
    return np.asarray(cv2.bitwise_or(b, reached[labels]), np.uint8)


def _raster(b: Bytes, g: Bytes) -> Bytes:
    """One scan in reading order, in place.

    Within a row the scan is a run rule: a guide pixel is switched on if the row above (already scanned), the row below
    (not yet) or the right neighbour (not yet) is on, or if its left neighbour has just been; the last part carries a
    change to the right through consecutive candidates, so it is resolved per run instead of per pixel.
    """
    height, width = b.shape
    on = np.zeros((height + 2, width + 2), bool)
    on[1:-1, 1:-1] = b > 0
    guide = g > 0
    for y in range(1, height + 1):
        row = on[y]
        above, below = on[y - 1], on[y + 1]
        seed = above[:-2] | above[1:-1] | above[2:] | below[:-2] | below[1:-1] | below[2:] | row[2:]
        candidate = guide[y - 1] & ~row[1:-1]
        if not candidate.any():
            continue
        start = candidate & (seed | row[:-2])
        row[1:-1] |= _spread_right(candidate, start)
    return on[1:-1, 1:-1].astype(np.uint8) * np.uint8(255)


def _spread_right(candidate: npt.NDArray[np.bool_], start: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the candidates at or to the right of a start in the same run of candidates."""
    index = np.arange(candidate.size)
    last_break = np.maximum.accumulate(np.where(~candidate, index, -1))
    last_start = np.maximum.accumulate(np.where(start, index, -1))
    return candidate & (last_start > last_break)

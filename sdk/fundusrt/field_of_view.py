"""Where in the frame the camera saw the eye, from the pixels alone.

Around the field of view lies a dark surround: exactly black where the exporting software painted it, a dim
noisy grey where it is the camera's own stop. The eye can be just as dark (shadows of lashes, the far periphery
of an angiogram, the fovea), so no fixed threshold separates the two. What marks the rim is that brightness
rises there by a large factor within a few pixels. The rule:

1. reduce the frame to at most 512 px a side and take the brightest channel;
2. for each threshold of a geometric row, from 1/256 to 1/2 of the image's bright end (its 99th percentile),
   make the shape of what is brighter: the pieces, without specks and without the small tab that many
   fundus cameras print at the rim, and their convex hull, unless much of the hull would be dark;
3. keep the threshold whose shape has the largest ratio of brightness between a thin band just inside and a
   thin band just outside its rim. Sides on the frame's border have no outside and do not count;
4. where even the best ratio is small, the frame has no surround: the whole frame is the field of view;
5. repeat the shape for the kept threshold at up to 1024 px and enlarge it smoothly.

Everything is relative to the image's own bright end, so 12-bit data in 16-bit files need no special care.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_field_of_view"]

_SCORE_SIDE_PX = 512
_SHAPE_SIDE_PX = 1024
_THRESHOLDS = tuple(2.0 ** (-step / 2) for step in range(16, 1, -1))  # of the bright end: 1/256 ... 1/2
_DARK = 1 / 64  # of the full range: an image without anything brighter shows nothing
_FLOOR = 1 / 128  # of the bright end: added to both bands, so that noise on black does not count as a rise
_LEAST_RATIO = 1.6  # a rim must rise at least by this factor
_BAND = 0.008  # width of a band, of the longer side
_TAB = 0.025  # radius of what is cut off at the rim, of the longer side
_GAP = 0.01  # dark gaps up to this width, of the longer side, join what lies beside them
_LEAST_SOLIDITY = 0.85  # a shape that fills less of its convex hull keeps its bays
_LEAST_PIECE = 0.02  # of the largest piece: smaller ones are dust or lettering
_LEAST_FIELD = 0.02  # of the frame

_Bytes = NDArray[np.uint8]


def find_field_of_view(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Find the field of view of a fundus photograph or angiogram.

    The result is one convex shape, or one to several shapes with bays where the bright part is far from
    convex (a montage). See the module's text for the rule.

    Args:
        pixels: (H, W) or (H, W, 3), uint8 or uint16.

    Returns:
        (H, W) bool, true inside. All true where no dark surround is found (a filled frame, noise, a constant
        image); all false where the image shows nothing (no pixel of the reduced image brighter than 1/64 of
        the dtype's range).

    Example:
        >>> frame = np.zeros((200, 200), np.uint8)
        >>> frame[50:150, 40:160] = 90
        >>> int(find_field_of_view(frame).sum())
        11920
    """
    import cv2

    height, width = pixels.shape[:2]
    shape_view = _reduced(pixels, _SHAPE_SIDE_PX)
    if shape_view.ndim == 3:
        shape_view = cv2.max(cv2.max(shape_view[:, :, 0], shape_view[:, :, 1]), shape_view[:, :, 2])
    score_view = _reduced(shape_view, _SCORE_SIDE_PX)
    bright_end = float(np.percentile(score_view, 99))
    if score_view.max() <= _DARK * np.iinfo(pixels.dtype).max:
        return np.zeros((height, width), np.bool_)
    levels = np.log(score_view.astype(np.float32) + np.float32(_FLOOR * bright_end))
    best_ratio, best_threshold = 0.0, 0.0
    for share in _THRESHOLDS:
        shape = _shape_above(score_view, share * bright_end)
        ratio = _rim_ratio(levels, shape)
        if ratio > best_ratio:
            best_ratio, best_threshold = ratio, share * bright_end
    if best_ratio < _LEAST_RATIO:
        return np.ones((height, width), np.bool_)
    shape = _shape_above(shape_view, best_threshold)
    if shape.shape != (height, width):
        shape = cast("_Bytes", cv2.resize(shape, (width, height), interpolation=cv2.INTER_LINEAR))
    return shape > 127


def _reduced(pixels: NDArray[Any], side_px: int) -> NDArray[Any]:
    """Average down to at most this many pixels on the longer side."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cast("NDArray[Any]", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _shape_above(view: NDArray[Any], threshold: float) -> _Bytes:
    """Outline what is brighter than the threshold; returns 0/255."""
    import cv2

    side_px = max(view.shape)
    mask = np.where(cv2.blur(view, (3, 3)) > threshold, np.uint8(255), np.uint8(0))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    gap = 2 * round(_GAP * side_px / 2) + 1
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    mask = _filled(cast("_Bytes", mask), convex=False)
    mask = _opened(mask, _TAB * side_px)
    hull = _filled(mask, convex=True)
    return hull if cv2.countNonZero(mask) >= _LEAST_SOLIDITY * cv2.countNonZero(hull) else mask


def _filled(mask: _Bytes, *, convex: bool) -> _Bytes:
    """Fill the outlines of the larger pieces, or their common convex hull."""
    import cv2

    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    areas = [cv2.contourArea(outline) for outline in outlines]
    least = max(_LEAST_PIECE * max(areas, default=0.0), 1.0)
    kept = [outline for outline, area in zip(outlines, areas, strict=True) if area >= least]
    if kept and convex:
        kept = [cv2.convexHull(np.concatenate(kept))]
    return cast("_Bytes", cv2.drawContours(filled, kept, -1, 255, cv2.FILLED))


def _opened(mask: _Bytes, radius_px: float) -> _Bytes:
    """Open with a disc; beyond the frame's border the shape is taken to go on."""
    import cv2

    core = np.where(_distance(mask) > radius_px, np.uint8(0), np.uint8(255))
    if core.all():
        return mask
    inside = cv2.distanceTransform(core, cv2.DIST_L2, cv2.DIST_MASK_5) <= radius_px
    return np.where(inside, mask, np.uint8(0))


def _distance(mask: _Bytes) -> NDArray[np.float32]:
    """Distance of each inner pixel to the shape's rim in px, not counting the frame's border as a rim."""
    import cv2

    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return cast("NDArray[np.float32]", cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5))


def _rim_ratio(levels: NDArray[np.float32], shape: _Bytes) -> float:
    """Return the geometric mean brightness just inside the rim over that just outside; 0 where there is no rim."""
    band_px = max(2.0, _BAND * max(shape.shape))
    inner = _distance(shape)
    outer = _distance(255 - shape)
    inside = (inner > 0) & (inner <= band_px)
    outside = (outer > 0) & (outer <= band_px)
    if shape.mean() < 255 * _LEAST_FIELD or not inside.any() or not outside.any():
        return 0.0
    return float(np.exp(levels[inside].mean() - levels[outside].mean()))

"""Where in the frame the camera saw the eye, from the pixels alone.

Around the field of view lies a dark surround: exactly black where the exporting software painted it, a dim
noisy grey where it is the camera's own stop. The eye can be just as dark (shadows of lashes, the far periphery
of an angiogram, the fovea), so no fixed threshold separates the two. What marks the rim is that brightness
rises there by a large factor within a few pixels. The rule:

1. take the logarithm of the brightness, in octaves above one grey level, and only then reduce the frame: where
   only every fifth pixel of a dark periphery differs from 0, a plain average would be rounded to black;
2. for each of a row of thresholds, outline what is brighter: the pieces, without specks and without the small
   tab that many fundus cameras print at the rim, then their convex hull, unless much of it would be dark;
3. rate each outline by the rise of the mean from a thin band just outside it to a thin band just inside, less
   twice the standard deviation outside, because a surround is even and the dark parts of an eye are not. Where
   an outline runs along the frame's border it has no outside and does not count;
4. keep the best; where even that one rates low, the frame has no surround: all of it is the field of view;
5. repeat the outline for the kept threshold at four times the resolution and enlarge it smoothly.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_field_of_view"]

_FINE_SIDE_PX = 1024
_COARSE_SIDE_PX = 256
_OCTAVE = 31  # codes of the 8-bit logarithm per factor of two: 255 is coded 248
_THRESHOLDS = (3, 6, 12, 24, 36, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208)
_DARK = 2 * _OCTAVE  # three grey levels: an image without anything brighter shows nothing
_LEAST_BRIGHT_END = 1020  # of a 16-bit image: what the logarithm counts as 255 grey levels at least
_LEAST_RATING = 0.2 * _OCTAVE
_BAND = 0.012  # width of a band, of the longer side
_TAB = 0.025  # radius of the disc that a part of the shape must hold to count, of the longer side
_GAP = 0.03  # dark gaps up to this width, of the longer side, join what lies beside them: shadows of lashes
_LEAST_SOLIDITY = 0.85  # an outline that fills less of its convex hull keeps its bays
_LEAST_PIECE = 0.02  # of the largest piece: smaller ones are dust or lettering
_LEAST_FIELD = 0.02  # of the frame

_Bytes = NDArray[np.uint8]


def find_field_of_view(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Find the field of view of a fundus photograph or angiogram.

    The result is one convex shape, or shapes with bays where the bright part is far from convex (a montage).
    Its rim lies within about 1/500 of the longer side of the true one, rather outside than inside. The module's
    text gives the rule.

    Args:
        pixels: (H, W) or (H, W, 3), uint8 or uint16. 16-bit images may use a part of their range.

    Returns:
        (H, W) bool, true inside. All true where no dark surround is found (a filled frame, noise, a constant
        image); all false where nothing is seen: no averaged pixel above 3 grey levels (12 of a 16-bit image).

    Example:
        >>> frame = np.zeros((200, 240), np.uint8)
        >>> frame[50:150, 60:180] = 90
        >>> field = find_field_of_view(frame)
        >>> bool(field[60:140, 70:170].all()), bool(field[:45].any())
        (True, False)
    """
    height, width = pixels.shape[:2]
    factor = _factor(height, width, _FINE_SIDE_PX)
    fine = _log_brightness(pixels, factor)
    if fine.max() <= _DARK:
        return np.zeros((height, width), np.bool_)
    coarse = _averaged(fine, _factor(fine.shape[0], fine.shape[1], _COARSE_SIDE_PX))
    bright_end = float(np.percentile(coarse, 99))
    best_rating, best_threshold = 0.0, 0
    for threshold in _THRESHOLDS:
        if threshold <= bright_end - _OCTAVE:
            rating = _rim_rating(coarse, _outline(coarse, threshold))
            if rating > best_rating:
                best_rating, best_threshold = rating, threshold
    if best_rating < _LEAST_RATING:
        return np.ones((height, width), np.bool_)
    return _enlarged(_outline(fine, best_threshold), factor, height, width)


def _factor(height: int, width: int, side_px: int) -> int:
    """Return the reduction that brings the longer side to at most this many pixels, 1, 2, 3 or an even number.

    It is less where the shorter side would fall below eight pixels.
    """
    factor = min(-(-max(height, width) // side_px), max(1, min(height, width) // 8))
    return factor + factor % 2 if factor > 3 else factor


def _log_brightness(pixels: NDArray[Any], factor: int) -> _Bytes:
    """Return the logarithm of the brightest channel, `_OCTAVE` codes per factor of two, reduced by the factor."""
    import cv2

    if pixels.dtype == np.uint8:
        step = max(1, factor // 2)  # 2 x 2 or 3 x 3 samples are enough for an average, and take less time
        table = np.round(_OCTAVE * np.log2(np.arange(256) + 1)).astype(np.uint8)
        cropped = _cropped(pixels, factor)
        size = cropped.shape[1] // step, cropped.shape[0] // step
        samples = cv2.resize(cropped, size, interpolation=cv2.INTER_NEAREST)
        codes = _averaged(cast("_Bytes", cv2.LUT(samples, table)), factor // step)
    else:
        values = _averaged(pixels, factor).astype(np.float32)
        bright_end = max(float(np.percentile(values, 99)), _LEAST_BRIGHT_END)
        codes = np.round(_OCTAVE * np.log2(np.minimum(values * (255 / bright_end), 255) + 1)).astype(np.uint8)
    if codes.ndim == 2:
        return codes
    return cast("_Bytes", cv2.max(cv2.max(codes[:, :, 0], codes[:, :, 1]), codes[:, :, 2]))


def _cropped(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Cut rows and columns at the end, so that the sides are multiples of the factor."""
    height, width = pixels.shape[:2]
    return pixels[: height // factor * factor, : width // factor * factor]


def _averaged(pixels: NDArray[Any], factor: int) -> NDArray[Any]:
    """Average squares of factor x factor pixels, which OpenCV does several times faster than other ratios."""
    import cv2

    if factor == 1:
        return pixels
    cropped = _cropped(pixels, factor)
    size = cropped.shape[1] // factor, cropped.shape[0] // factor
    return cast("NDArray[Any]", cv2.resize(cropped, size, interpolation=cv2.INTER_AREA))


def _enlarged(field: _Bytes, factor: int, height: int, width: int) -> NDArray[np.bool_]:
    """Undo a reduction smoothly; the cut rows and columns repeat the last ones."""
    import cv2

    size = field.shape[1] * factor, field.shape[0] * factor
    large = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)
    if size != (width, height):
        large = cv2.copyMakeBorder(large, 0, height - size[1], 0, width - size[0], cv2.BORDER_REPLICATE)
    cv2.threshold(large, 127, 1, cv2.THRESH_BINARY, dst=large)
    return large.view(np.bool_)


def _outline(codes: _Bytes, threshold: int) -> _Bytes:
    """Outline what is brighter than the threshold; returns 0/255."""
    import cv2

    side_px = max(codes.shape)
    mask = np.where(cv2.blur(codes, (3, 3)) > threshold, np.uint8(255), np.uint8(0))
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    gap = 2 * round(_GAP * side_px / 2) + 1
    padded = cv2.copyMakeBorder(opened, gap, gap, gap, gap, cv2.BORDER_CONSTANT)  # the frame's border closes no gap
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))[gap:-gap, gap:-gap]
    mask = _without_tabs(_filled(np.ascontiguousarray(closed, np.uint8), convex=False), _TAB * side_px)
    hull = _filled(mask, convex=True)
    return hull if cv2.countNonZero(mask) >= _LEAST_SOLIDITY * cv2.countNonZero(hull) else mask


def _filled(mask: _Bytes, *, convex: bool) -> _Bytes:
    """Fill the outlines of the larger pieces, or their common convex hull."""
    import cv2

    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(outline) for outline in outlines]
    least = max(_LEAST_PIECE * max(areas, default=0.0), 1.0)
    kept = [outline for outline, area in zip(outlines, areas, strict=True) if area >= least]
    if kept and convex:
        kept = [cv2.convexHull(np.concatenate(kept))]
    return cast("_Bytes", cv2.drawContours(np.zeros_like(mask), kept, -1, 255, cv2.FILLED))


def _without_tabs(mask: _Bytes, radius_px: float) -> _Bytes:
    """Open with a disc (erode, dilate) by distances; the shape is taken to go on beyond the frame's border."""
    import cv2

    if mask.all():
        return mask
    outside_core = np.where(
        cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5) > radius_px, np.uint8(0), np.uint8(255)
    )
    if outside_core.all():
        return outside_core ^ np.uint8(255)
    near_core = cv2.distanceTransform(outside_core, cv2.DIST_L2, cv2.DIST_MASK_5) <= radius_px
    return np.where(near_core, mask, np.uint8(0))


def _rim_rating(codes: _Bytes, field: _Bytes) -> float:
    """Rate an outline by the two bands along its rim (the module's text, 3); 0 where there is no rim."""
    import cv2

    band = np.ones((2 * round(max(2.0, _BAND * max(field.shape))) + 1,) * 2, np.uint8)
    inside = cv2.subtract(field, cv2.erode(field, band))  # both leave out the frame's border
    outside = cv2.subtract(cv2.dilate(field, band), field)
    if field.mean() < 255 * _LEAST_FIELD or cv2.countNonZero(inside) == 0 or cv2.countNonZero(outside) == 0:
        return 0.0
    outside_mean, outside_deviation = cv2.meanStdDev(codes, mask=outside)
    return cv2.mean(codes, inside)[0] - float(outside_mean[0, 0]) - 2 * float(outside_deviation[0, 0])

"""What the fused kernel promises to compute when it up-samples: bilinear at pixel centres, every rounding named.

OpenCV's float32 resize on x86-64, where Intel's primitives do it, is this, bit for bit; other builds of OpenCV round
the places of pixels to float32 and fuse nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]


def upsampled(p: Map, height: int, width: int) -> Map:
    """Return (height, width) float32: along rows first, then down columns."""
    if p.shape == (height, width):
        return p
    low, high, weight = places(p.shape[1], width)
    rows = between(p[:, low], p[:, high], weight[None])
    low, high, weight = places(p.shape[0], height)
    return between(rows[low], rows[high], weight[:, None])


def places(source: int, target: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Map]:
    """Return the two source positions of each target position and the weight of the second, exact, rounded once."""
    i = np.arange(target, dtype=np.int64)
    above, below = (2 * i + 1) * source - target, 2 * target
    low = above // below
    weight = ((above - low * below) / below).astype(np.float32)
    outside = (low < 0) | (low >= source - 1)
    weight[outside] = 0
    low = low.clip(0, source - 1)
    return low, (low + 1).clip(0, source - 1), weight


def between(low: Map, high: Map, weight: Map) -> Map:
    """Return low + weight * (high - low), the difference rounded, the rest with one rounding."""
    return fused_multiply_add(np.broadcast_to(weight, low.shape), high - low, low)


def fused_multiply_add(a: Map, b: Map, c: Map) -> Map:
    """Return a * b + c with one rounding to float32.

    The product of two float32 is exact in float64. The sum is rounded to odd there (Boldo and Melquiond 2008), so that
    the second rounding, to float32, cannot undo the first.
    """
    product, addend = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    total = product + addend
    part = total - product
    error = (product - (total - part)) + (addend - part)
    even = (total.view(np.int64) & 1) == 0
    odd = np.nextafter(total, np.copysign(np.inf, error))
    return np.where((error != 0) & even, odd, total).astype(np.float32)

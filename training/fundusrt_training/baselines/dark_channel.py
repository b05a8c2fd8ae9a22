"""Dehazing by the dark channel prior (He, Sun and Tang 2011), its transmission smoothed by a guided filter (2013).

I = J t + A (1 - t)          the model: a clear image J, seen through haze of colour A
dark(I)(x) = min over the window around x, and over the channels, of I
A = of the 0.1 % px with the largest dark(I), the brightest one's colour
t = 1 - omega dark(I / A),   smoothed along the edges of I
J = (I - A) / max(t, t0) + A
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import UsageError
from fundusrt_training.baselines.photograph import check_photograph

__all__ = ["dark_channel", "enhance_by_dark_channel", "haze_colour", "smooth_along_edges"]

Image = npt.NDArray[np.float64]
Map = npt.NDArray[np.float64]

_BRIGHTEST = 0.001  # of the pixels
_LEAST_HAZE = 1.0 / 255.0  # a haze of no brightness cannot be divided by


def enhance_by_dark_channel(
    image: npt.NDArray[np.uint8],
    window: int = 15,
    omega: float = 0.95,
    t0: float = 0.1,
    radius: int = 40,
    eps: float = 1e-3,
) -> npt.NDArray[np.uint8]:
    """Return the photograph without haze; defaults are the papers'.

    Args:
        image: (H, W, 3) RGB uint8.
        window: px of the sides of the dark channel's window, odd.
        omega: part of the haze that is removed.
        t0: least transmission.
        radius: px of the guided filter's window; 0 leaves the transmission as it is.
        eps: the guided filter's regularisation.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        InvalidInput: not such an image.
        UsageError: a parameter out of its range.
    """
    check_photograph(image)
    if window < 1 or window % 2 == 0:
        raise UsageError("window", got=window, expected="an odd number of px")
    for name, value in (("omega", omega), ("t0", t0)):
        if not 0 < value <= 1:
            raise UsageError(name, got=value, expected="above 0, at most 1")
    if radius < 0 or not eps > 0:
        raise UsageError("radius and eps", got=f"{radius} and {eps:g}", expected="0 px or more, and above 0")
    values = image.astype(np.float64) / 255.0
    haze = haze_colour(values, dark_channel(values, window))
    t = 1.0 - omega * dark_channel(values / haze, window)
    if radius:
        t = smooth_along_edges(t, np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float64) / 255.0, radius, eps)
    clear = (values - haze) / np.maximum(t, t0)[..., None] + haze
    return np.floor(np.clip(clear, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def dark_channel(image: Image, window: int) -> Map:
    """Return the least value of (H, W, 3) in the window around each pixel, as far as it lies in the image."""
    least = np.ascontiguousarray(image.min(axis=2))
    return np.asarray(cv2.erode(least, np.ones((window, window), np.uint8)), np.float64)


def haze_colour(image: Image, dark: Map) -> npt.NDArray[np.float64]:
    """Return A, three values above 0: the brightest pixel's colour among those with the largest dark channel."""
    count = max(1, int(_BRIGHTEST * dark.size))
    chosen = np.argsort(dark, axis=None, kind="stable")[-count:]
    colours = image.reshape(-1, 3)[chosen]
    return np.maximum(colours[int(colours.sum(axis=1).argmax())], _LEAST_HAZE)


def smooth_along_edges(values: Map, guide: Map, radius: int, eps: float) -> Map:
    """Return the guided filter of (H, W) values: in each window the line in `guide` that fits them best, averaged."""

    def mean(x: Map) -> Map:
        side = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(x, side, borderType=cv2.BORDER_REFLECT), np.float64)

    mean_guide, mean_values = mean(guide), mean(values)
    slope = (mean(guide * values) - mean_guide * mean_values) / (mean(guide * guide) - mean_guide**2 + eps)
    offset = mean_values - slope * mean_guide
    return mean(slope) * guide + mean(offset)

"""How far two masks or two images are apart in what they are used for: overlap and area, noise and structure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusrt.agreement import measured
from fundusrt.certificate import Measurement

__all__ = [
    "SIZES",
    "area_difference",
    "dice",
    "image_figures",
    "lesions_found",
    "mask_figures",
    "psnr",
    "structural_similarity",
]

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[Any]

SIZES = {"small": (1, 64), "medium": (64, 1024), "large": (1024, math.inf)}
"""Lesions by area in px of the image: from the first number on, below the second."""

_LEAST_AREA = 1e-3  # share of the image: of a smaller mask one pixel would be a large part
_HIGHEST_PSNR = 100.0  # of equal images it is infinite, which no figure may be


def dice(reference: Mask, other: Mask) -> float:
    """Return 2 |A and B| / (|A| + |B|); 1 for two empty masks, 0 for other shapes than each other's."""
    if reference.shape != other.shape:
        return 0.0
    total = int(reference.sum()) + int(other.sum())
    return 2.0 * int((reference & other).sum()) / total if total else 1.0


def area_difference(reference: Mask, other: Mask) -> float:
    """Return the difference of the areas over the reference's, which counts as 1e-3 of the image at least."""
    if reference.shape != other.shape:
        return 1.0
    area = int(reference.sum())
    return abs(int(other.sum()) - area) / max(area, _LEAST_AREA * reference.size)


def lesions_found(reference: Mask, other: Mask) -> dict[str, float]:
    """Return the share of the reference's lesions that the other mask finds, by the sizes of `SIZES`.

    Args:
        reference: (H, W), or (N, H, W) whose N masks are one pool.
        other: the same.

    Returns:
        A lesion is an 8-connected component; it is found if at least half of its pixels are marked. 1 where there is
        no lesion of a size, 0 for other shapes than each other's.
    """
    import cv2

    if reference.shape != other.shape:
        return dict.fromkeys(SIZES, 0.0)
    found: dict[str, list[npt.NDArray[np.bool_]]] = {size: [] for size in SIZES}
    height, width = reference.shape[-2:]
    for mask, marks in zip(reference.reshape(-1, height, width), other.reshape(-1, height, width), strict=True):
        lesions, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        area = np.bincount(labels.ravel(), minlength=lesions)[1:]  # 0 is the background
        marked = np.bincount(labels[marks], minlength=lesions)[1:]
        for size, (least, below) in SIZES.items():
            these = (area >= least) & (area < below)
            found[size].append(2 * marked[these] >= area[these])
    pooled = {size: np.concatenate(parts) for size, parts in found.items()}
    return {size: float(each.mean()) if each.size else 1.0 for size, each in pooled.items()}


def psnr(reference: Pixels, other: Pixels) -> float:
    """Return the peak signal-to-noise ratio of two 8-bit images in dB, 100 for equal ones; 0 where nothing compares."""
    if reference.shape != other.shape or reference.dtype != np.uint8 or other.dtype != np.uint8:
        return 0.0
    error = float(np.mean((reference.astype(np.float64) - other.astype(np.float64)) ** 2))
    return min(_HIGHEST_PSNR, 10.0 * float(np.log10(255.0**2 / error))) if error else _HIGHEST_PSNR


def structural_similarity(reference: Pixels, other: Pixels) -> float:
    """Return the SSIM of two 8-bit images, the mean over channels; 0 where nothing compares.

    Wang et al. 2004: Gaussian window of 11 px, sigma 1.5, K1 = 0.01, K2 = 0.03, L = 255; the rim of 5 px is left out.
    """
    import cv2

    if reference.shape != other.shape or reference.dtype != np.uint8 or other.dtype != np.uint8:
        return 0.0
    x, y = reference.astype(np.float64), other.astype(np.float64)

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)[5:-5, 5:-5]

    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    both = mean(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + c1) * (2 * both + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(similarity.mean()) if similarity.size else 0.0


def mask_figures(reference: Mask, other: Mask) -> list[Measurement]:
    """Return Dice, area difference and lesions found by size with the limits of the rung `task`."""
    return [
        measured("task", "dice", dice(reference, other)),
        measured("task", "area", area_difference(reference, other)),
        *(measured("task", size, share) for size, share in lesions_found(reference, other).items()),
    ]


def image_figures(reference: Pixels, other: Pixels) -> list[Measurement]:
    """Return PSNR and SSIM of two (H, W[, 3]) uint8 images with the limits of the rung `task`."""
    return [
        measured("task", "psnr", psnr(reference, other)),
        measured("task", "ssim", structural_similarity(reference, other)),
    ]

"""Contrast-limited adaptive histogram equalisation of each colour channel (Setiawan et al. 2013)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import UsageError
from fundusrt_training.baselines.photograph import check_photograph

__all__ = ["enhance_by_clahe"]


def enhance_by_clahe(image: npt.NDArray[np.uint8], clip: float = 2.0, grid: int = 8) -> npt.NDArray[np.uint8]:
    """Return the photograph with each of its channels equalised by itself.

    Args:
        image: (H, W, 3) RGB uint8.
        clip: largest height of a histogram's bin, in multiples of the mean height.
        grid: number of tiles along each side.

    Returns:
        (H, W, 3) RGB uint8.

    Raises:
        InvalidInput: not such an image.
        UsageError: a clip that is not above 0, or no tile.
    """
    check_photograph(image)
    if not clip > 0:
        raise UsageError("clip", got=clip, expected="above 0")
    if grid < 1:
        raise UsageError("grid", got=grid, expected="at least 1")
    clahe = cv2.createCLAHE(clipLimit=clip, tileGridSize=(grid, grid))
    planes = [np.asarray(clahe.apply(np.ascontiguousarray(image[..., c])), np.uint8) for c in range(3)]
    return np.stack(planes, axis=2)

"""A picture of right and wrong: hits yellow, false alarms red, misses green, over the dimmed image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fundusrt.preprocess import nearest_index

__all__ = ["overlay"]


def overlay(
    image: npt.NDArray[np.uint8], prediction: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) RGB uint8 for an (H, W[, 3]) uint8 image; masks of another size are brought to its own."""
    picture = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    picture = (picture * 0.6).astype(np.uint8)
    for channel, mask in ((0, prediction), (1, reference)):
        rows, columns = (nearest_index(n, m) for n, m in zip(mask.shape, image.shape[:2], strict=True))
        picture[..., channel][mask[rows][:, columns]] = 255
    return picture

"""The lesion table: one row per 8-connected component of a mask."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Lesion", "find_lesions"]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected lesion.

    Attributes:
        area_px: number of pixels.
        area_mm2: area in mm², or None where the image has no known scale.
        bbox: half-open box (y0, x0, y1, x1) in px.
        centroid: mean pixel position (y, x) in px.
        mean_probability: mean of the probability map over the lesion, in [0, 1].
    """

    area_px: int
    area_mm2: float | None
    bbox: tuple[int, int, int, int]
    centroid: tuple[float, float]
    mean_probability: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def find_lesions(
    mask: npt.NDArray[np.bool_],
    probability: npt.NDArray[np.float32],
    mm_per_px: float | None = None,
    room: npt.NDArray[np.float32] | None = None,
) -> list[Lesion]:
    """Measure the 8-connected components of a mask, largest first.

    Args:
        mask: (H, W) bool.
        probability: (H, W) float32 in [0, 1].
        mm_per_px: side of a pixel in mm, or None where unknown.
        room: a flat contiguous array nobody needs any more; the labels may take its memory.

    Returns:
        Lesions by falling area; equal areas in reading order of their boxes.
    """
    import cv2

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    # Only the box that holds them all: labels take four bytes a pixel.
    top, left = int(rows[0]), int(columns[0])
    box = slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1)
    marked = np.ascontiguousarray(mask[box])
    labels = None
    if room is not None and room.size >= marked.size:
        labels = room[: marked.size].view(np.int32).reshape(marked.shape)
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(
        marked.view(np.uint8), labels=labels, connectivity=8
    )
    sums = np.bincount(labels[marked], probability[box][marked], count)
    lesions: list[Lesion] = []
    for label in range(1, count):
        x0, y0, width, height, area = (int(value) for value in stats[label])
        x0, y0 = x0 + left, y0 + top
        lesions.append(
            Lesion(
                area_px=area,
                area_mm2=None if mm_per_px is None else area * mm_per_px**2,
                bbox=(y0, x0, y0 + height, x0 + width),
                centroid=(float(centroids[label][1]) + top, float(centroids[label][0]) + left),
                mean_probability=float(sums[label] / area),
            )
        )
    return sorted(lesions, key=lambda lesion: (-lesion.area_px, lesion.bbox))

"""The square frame around the field of view, which enhancement and vessel networks see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput

__all__ = ["FieldFrame"]


@dataclass(frozen=True)
class FieldFrame:
    """A square of an image, in whole px; it may reach beyond the image's border.

    Attributes:
        y0: first row.
        x0: first column.
        length: of a side.
    """

    y0: int
    x0: int
    length: int

    @classmethod
    def around(cls, fov: npt.NDArray[np.bool_], source_id: str) -> FieldFrame:
        """Return the smallest square that holds a field of view and has it in the middle.

        Args:
            fov: (H, W) bool.
            source_id: the image's name in messages.

        Raises:
            InvalidInput: an image without a field of view.
        """
        rows, columns = np.flatnonzero(fov.any(axis=1)), np.flatnonzero(fov.any(axis=0))
        if not len(rows):
            raise InvalidInput(source_id, got="no field of view", expected="a photograph of an eye", fix="leave it out")
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        length = max(height, width)
        return cls(int(rows[0]) - (length - height) // 2, int(columns[0]) - (length - width) // 2, length)

    def cut(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return (length, length[, C]) of an (H, W[, C]) array; 0 beyond its border."""
        inside, margins = zip(*(self._along(axis, array.shape[axis]) for axis in (0, 1)), strict=True)
        return np.pad(array[inside], (*margins, *((0, 0) for _ in array.shape[2:])))

    def resized(self, array: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
        """Return `cut` at side x side px: area means where it shrinks, cubic where it grows."""
        interpolation = cv2.INTER_AREA if self.length >= side else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(self.cut(array), (side, side), interpolation=interpolation), np.uint8)

    def resized_mask(self, mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
        """Return `cut` of an (H, W) mask at side x side px, by the nearest neighbour."""
        small = cv2.resize(self.cut(mask).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        return np.asarray(small) > 0

    def _along(self, axis: int, size: int) -> tuple[slice, tuple[int, int]]:
        """Return the part of an axis that lies in the image, and how much is missing before and after it."""
        start = (self.y0, self.x0)[axis]
        stop = start + self.length
        return slice(max(start, 0), min(stop, size)), (max(-start, 0), max(stop - size, 0))

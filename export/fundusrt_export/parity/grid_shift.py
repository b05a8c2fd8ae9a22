"""R5, the grid of tiles moved: the pipeline depends on where tiles are cut no more than PyTorch does.

Without overlap a network sees other surroundings when the grid moves, so that its answers move a little too, in PyTorch
as well. What must not happen is that the pipeline moves otherwise: by a tile that is taken for the one that was there
before, by a border that one of the two treats in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_TILES_A_SIDE", "Shifted", "shifted_grid"]

MOST_TILES_A_SIDE = 3
"""Of the middle of the grid: nine tiles show it, and a whole grid would be run twice."""


@dataclass(frozen=True)
class Shifted:
    """The middle of a grid, cut half a tile further down and to the right.

    Attributes:
        pixels: (512 r, 512 c[, 3]) uint8, r and c at most 3.
        rows: where it lies on the grid; what leaves the grid comes in on the other side.
        columns: likewise.
    """

    pixels: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]

    def of(self, on_grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the same part of a (H, W) map of the whole grid."""
        return on_grid[self.rows[:, None], self.columns[None]]


def shifted_grid(grid: npt.NDArray[np.uint8], side: int) -> Shifted:
    """Cut the middle of a grid half a tile off.

    Args:
        grid: (side R, side C[, 3]) uint8.
        side: of a tile in px.
    """
    places: list[npt.NDArray[np.int64]] = []
    for length in grid.shape[:2]:
        tiles = length // side
        taken = min(tiles, MOST_TILES_A_SIDE)
        start = (tiles - taken) // 2 * side + side // 2
        places.append(np.arange(start, start + taken * side) % length)
    rows, columns = places
    return Shifted(np.ascontiguousarray(grid[rows[:, None], columns[None]]), rows, columns)

"""Tile values back into one map."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fundusrt.errors import InvalidInput
from fundusrt.tiling import Tile, TileGrid

__all__ = ["Stitcher"]


class Stitcher:
    """Accumulates the tiles of one grid; overlapping values are averaged with equal weight.

    Without overlap a tile is written straight into the map, so the result is bit-equal to its parts.

    Args:
        grid: the geometry the tiles come from.
        into: (height, width) float32 to build the map in; new memory where None.
    """

    def __init__(self, grid: TileGrid, into: npt.NDArray[np.float32] | None = None) -> None:
        self._grid = grid
        shape = (grid.height, grid.width)
        if into is not None and (into.shape != shape or into.dtype != np.float32):
            raise InvalidInput(
                "stitcher memory", got=f"{into.shape} {into.dtype}", expected=f"{shape} float32", fix="leave `into` out"
            )
        self._map = np.empty(shape, np.float32) if into is None else into
        self._count = np.zeros((grid.height, grid.width), np.uint32) if _overlaps(grid) else None
        if self._count is not None:
            self._map.fill(0)  # without overlap each value is written before it is read
        self._tiles = {(tile.row, tile.column): tile for tile in grid}
        self._missing = set(self._tiles)

    def add(self, tile: Tile, values: npt.NDArray[np.float32]) -> None:
        """Put one tile's values in place.

        Args:
            tile: a tile of this stitcher's grid, each exactly once.
            values: (tile, tile) float32; what lies past the image's end is dropped.

        Raises:
            InvalidInput: wrong shape, or a tile that is not of this grid or was added before.
        """
        side = self._grid.tile
        if values.shape != (side, side):
            raise InvalidInput(
                "tile values",
                got=f"shape {values.shape}",
                expected=f"({side}, {side})",
                fix="pad it to the tile size; the rest is dropped",
            )
        expected = self._tiles.get((tile.row, tile.column))
        if tile != expected or (tile.row, tile.column) not in self._missing:
            raise InvalidInput(
                f"tile at row {tile.row}, column {tile.column}",
                got="a tile that was added before or is not of this grid",
                expected="each tile of the grid once",
                fix="take the tiles from the grid this stitcher was made with",
            )
        self._missing.remove((tile.row, tile.column))
        target = self._map[tile.window]
        part = values[: target.shape[0], : target.shape[1]]
        if self._count is None:
            target[...] = part
        else:
            target += part
            self._count[tile.window] += 1

    def result(self) -> npt.NDArray[np.float32]:
        """Return the (height, width) float32 map; the caller owns it.

        Raises:
            InvalidInput: tiles are missing.
        """
        if self._missing:
            raise InvalidInput(
                "stitched map",
                got=f"{len(self._missing)} of {len(self._grid)} tiles missing",
                expected="every tile",
                fix="add the missing tiles first",
            )
        if self._count is None:
            return self._map
        return self._map / self._count.astype(np.float32)


def _overlaps(grid: TileGrid) -> bool:
    starts = (grid.y_starts, grid.x_starts)
    return any(b - a < grid.tile for axis in starts for a, b in pairwise(axis))
